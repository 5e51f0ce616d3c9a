//! What codes in the parts of private fields mean, by network and by the part's path.

use crate::dialect::Mapping;
use crate::dialect::codes::Words;

/// The codes of one part.
type Codes = &'static [(&'static str, Words)];

/// What the value of a part means; `None` when nothing is known. Blanks around it do not count.
pub(super) fn find(mapping: Mapping, path: &[u16], value: &str) -> Option<Words> {
    let table = match mapping {
        Mapping::Visa => VISA,
        Mapping::Mastercard => MASTERCARD,
        Mapping::Iso87 => &[],
    };
    let (_, codes) = table.iter().chain(COMMON).find(|(known, _)| *known == path)?;
    codes.iter().find(|(known, _)| *known == value.trim()).map(|(_, words)| *words)
}

/// The same of the character in front of Mastercard's DE 48.
pub(super) fn category(value: &str) -> Option<Words> {
    CATEGORY_CODES.iter().find(|(known, _)| *known == value).map(|(_, words)| *words)
}

/// DE 54 everywhere.
const COMMON: &[(&[u16], Codes)] = &[(
    &[54, 2],
    &[
        ("01", "ledger balance"),
        ("02", "available balance"),
        ("03", "owing"),
        ("04", "due"),
        ("10", "healthcare"),
        ("11", "prescriptions"),
        ("40", "cash back"),
        ("42", "surcharge"),
        ("57", "original amount"),
    ],
)];

const VISA: &[(&[u16], Codes)] = &[
    (
        &[44, 1],
        &[
            ("0", "advice of an exception file"),
            ("1", "stand-in, issuer timed out"),
            ("2", "stand-in, below the issuer's limit"),
            ("3", "stand-in, issuer suppresses inquiries"),
            ("4", "stand-in, issuer unavailable"),
            ("5", "issuer"),
        ],
    ),
    (
        &[44, 2],
        &[
            ("A", "street matches, postal code does not"),
            ("B", "street matches, postal code not verified"),
            ("C", "neither verified"),
            ("D", "both match, international"),
            ("F", "both match, United Kingdom"),
            ("G", "not verified, international"),
            ("I", "not verified, international"),
            ("M", "both match, international"),
            ("N", "no match"),
            ("P", "postal code matches, street not verified"),
            ("R", "try again"),
            ("S", "not supported"),
            ("U", "unavailable"),
            ("W", "nine digits of the postal code match"),
            ("X", "both match, nine digits"),
            ("Y", "both match, five digits"),
            ("Z", "five digits of the postal code match"),
        ],
    ),
    (
        &[44, 4],
        &[
            ("2", "expiry date missing"),
            ("3", "chip, declined by default"),
            ("4", "CVV2 by default"),
            ("5", "keyed"),
            ("6", "country at risk"),
            ("8", "rule of original credits"),
            ("A", "advanced authorization score"),
            ("B", "advanced authorization score"),
            ("C", "smarter stand-in"),
            ("F", "above the balance"),
        ],
    ),
    (
        &[44, 5],
        &[
            ("0", "could not be verified"),
            ("1", "failed"),
            ("2", "passed"),
            ("3", "passed, for the emergency replacement card"),
        ],
    ),
    (&[44, 8], &[("1", "cryptogram failed"), ("2", "cryptogram passed")]),
    (
        &[44, 10],
        &[
            ("M", "match"),
            ("N", "no match"),
            ("P", "not processed"),
            ("S", "should be on the card"),
            ("U", "issuer does not take part"),
        ],
    ),
    (
        &[44, 13],
        &[
            ("0", "error in the authentication data"),
            ("1", "authentication failed"),
            ("2", "authentication passed"),
            ("3", "attempt passed"),
            ("4", "attempt failed"),
            ("6", "not validated"),
            ("7", "attempt failed"),
            ("8", "attempt passed"),
            ("9", "attempt failed"),
            ("A", "attempt passed"),
            ("B", "passed, no shift of liability"),
            ("C", "not validated"),
            ("D", "not validated"),
        ],
    ),
    (
        &[60, 1],
        &[
            ("0", "not known"),
            ("1", "limited amount"),
            ("2", "cash machine"),
            ("3", "self-service"),
            ("4", "electronic cash register"),
            ("5", "at home"),
            ("7", "telephone"),
        ],
    ),
    (
        &[60, 2],
        &[
            ("0", "not known"),
            ("1", "no terminal"),
            ("2", "magnetic stripe"),
            ("3", "bar code"),
            ("4", "optical"),
            ("5", "chip and magnetic stripe"),
            ("8", "contactless"),
            ("9", "does not read"),
        ],
    ),
    (&[60, 3], &[("1", "fallback, last chip read well"), ("2", "fallback, last chip read failed")]),
    (&[60, 4], &[("7", "quasi cash"), ("8", "quasi cash"), ("9", "payment of a debt")]),
    (
        &[60, 6],
        &[
            ("1", "full chip data"),
            ("2", "partial chip data"),
            ("3", "third bitmap, expanded"),
            ("4", "token"),
        ],
    ),
    (&[60, 7], &[("1", "acquirer says unreliable"), ("2", "acquirer inactive"), ("3", "issuer inactive")]),
    (
        &[60, 8],
        &[
            ("01", "single mail or telephone order"),
            ("02", "recurring"),
            ("03", "installment"),
            ("04", "mail or telephone order"),
            ("05", "electronic commerce, authenticated"),
            ("06", "electronic commerce, attempted"),
            ("07", "electronic commerce, secure, not authenticated"),
            ("08", "electronic commerce, not secure"),
        ],
    ),
    (
        &[60, 10],
        &[
            ("1", "takes a part of the amount"),
            ("2", "amount is estimated"),
            ("3", "amount is estimated, takes a part of it"),
        ],
    ),
    (&[62, 1], &[("Y", "asks for payment service")]),
    (&[63, 1], &[("0000", "any"), ("0002", "Visa"), ("0003", "Interlink"), ("0004", "Plus")]),
    (
        &[63, 3],
        &[
            ("2104", "acquirer's advice"),
            ("2501", "voided by the customer"),
            ("2502", "not completed"),
            ("2503", "terminal did not confirm"),
            ("2504", "a part was paid out"),
            ("3700", "token created"),
            ("3701", "token deactivated"),
            ("3702", "token suspended"),
            ("3703", "token resumed"),
            ("3711", "device provisioned"),
            ("3712", "result of a one-time password"),
            ("3720", "expiry of the card number updated"),
            ("3721", "card number updated"),
            ("3900", "increment"),
            ("3901", "resubmission"),
            ("3902", "delayed charges"),
            ("3903", "reauthorization"),
            ("3904", "no show"),
            ("5206", "deferred authorization"),
            ("5402", "original credit"),
            ("5403", "account funding"),
        ],
    ),
    (&[63, 4], &[("9001", "issuer signed off"), ("9011", "line down"), ("9020", "issuer timed out")]),
    (&[126, 13], &[("R", "recurring"), ("I", "installment"), ("C", "credential on file")]),
];

/// DE 48, its first character.
const CATEGORY_CODES: Codes = &[
    ("A", "vehicle rental"),
    ("C", "cash"),
    ("F", "restaurant"),
    ("H", "hotel"),
    ("O", "college or hospital"),
    ("P", "payment"),
    ("R", "retail"),
    ("T", "telephone, mail or electronic commerce"),
    ("U", "unique"),
    ("X", "airline"),
    ("Z", "cash machine"),
];

const SUPPORTED: Codes = &[("0", "no"), ("1", "yes")];

const MASTERCARD: &[(&[u16], Codes)] = &[
    (&[48, 20], &[("P", "PIN"), ("S", "signature or none")]),
    (
        &[48, 22, 5],
        &[
            ("C101", "cardholder stores a credential"),
            ("C102", "cardholder agrees to a standing order"),
            ("C103", "cardholder agrees to a subscription"),
            ("C104", "cardholder agrees to installments"),
            ("M101", "merchant, unscheduled"),
            ("M102", "merchant, standing order"),
            ("M103", "merchant, subscription"),
            ("M104", "merchant, installment"),
            ("M205", "merchant, partial shipment"),
            ("M206", "merchant, delayed charge"),
            ("M207", "merchant, no show"),
            ("M208", "merchant, resubmission"),
        ],
    ),
    (
        &[48, 26],
        &[
            ("101", "Masterpass, remote"),
            ("102", "Masterpass, near field"),
            ("103", "Apple Pay"),
            ("216", "Android Pay"),
            ("217", "Samsung Pay"),
        ],
    ),
    (
        &[48, 33, 1],
        &[
            ("C", "token in a device"),
            ("E", "embossed number"),
            ("F", "card on file"),
            ("H", "token in the cloud"),
            ("M", "primary account number"),
            ("P", "pseudo number"),
        ],
    ),
    (&[48, 61, 1], SUPPORTED),
    (&[48, 61, 2], SUPPORTED),
    (&[48, 61, 3], SUPPORTED),
    (&[48, 61, 4], SUPPORTED),
    (&[48, 61, 5], &[("0", "not final"), ("1", "final")]),
    (
        &[48, 71, 1],
        &[
            ("05", "CVC 3 verification"),
            ("06", "AAV verification"),
            ("50", "token mapping"),
            ("51", "chip or CVC 3 prevalidation"),
        ],
    ),
    (&[48, 82], &[("51", "address verification only"), ("52", "address verification and authorization")]),
    (
        &[48, 83],
        &[
            ("A", "address matches, postal code does not"),
            ("N", "no match"),
            ("R", "try again"),
            ("S", "not supported"),
            ("U", "unavailable"),
            ("W", "nine digits of the postal code match"),
            ("X", "both match, nine digits"),
            ("Y", "both match, five digits"),
            ("Z", "five digits of the postal code match"),
        ],
    ),
    (
        &[48, 84],
        &[
            ("01", "new account information"),
            ("02", "try again later"),
            ("03", "do not try again"),
            ("04", "token problem"),
            ("21", "stop recurring payments"),
            ("24", "try again in an hour"),
            ("25", "try again in 24 hours"),
            ("26", "try again in 2 days"),
            ("27", "try again in 4 days"),
            ("28", "try again in 6 days"),
            ("29", "try again in 8 days"),
            ("30", "try again in 10 days"),
            ("40", "prepaid card, not reloadable"),
            ("41", "virtual card for one use"),
            ("42", "sanctions score"),
            ("43", "virtual card for several uses"),
        ],
    ),
    (
        &[48, 87],
        &[
            ("E", "CVC 1 of uncertain length"),
            ("M", "match"),
            ("N", "no match"),
            ("P", "not processed"),
            ("U", "issuer does not take part"),
            ("Y", "wrong CVC 1"),
        ],
    ),
    (
        &[60, 1],
        &[
            ("100", "issuer's option"),
            ("101", "issuer signed out"),
            ("102", "issuer timed out"),
            ("103", "issuer unavailable"),
            ("105", "X-Code"),
            ("107", "PIN error"),
            ("108", "network error"),
            ("109", "our answer failed the edits"),
            ("111", "host error"),
            ("400", "network's reversal advice"),
            ("401", "acquirer's reversal advice"),
            ("402", "issuer timed out"),
            ("650", "administrative text"),
        ],
    ),
    (&[61, 1], &[("0", "attended"), ("1", "unattended"), ("2", "no terminal")]),
    (
        &[61, 3],
        &[
            ("0", "on the acceptor's premises"),
            ("1", "off the acceptor's premises"),
            ("2", "off premises, at the cardholder's"),
            ("3", "no terminal"),
            ("4", "on premises, the cardholder's"),
        ],
    ),
    (
        &[61, 4],
        &[
            ("0", "cardholder present"),
            ("1", "not present"),
            ("2", "mail order"),
            ("3", "telephone order"),
            ("4", "recurring"),
            ("5", "electronic commerce"),
        ],
    ),
    (&[61, 5], &[("0", "card present"), ("1", "not present")]),
    (&[61, 6], &[("0", "cannot keep the card"), ("1", "can keep the card"), ("9", "not known")]),
    (
        &[61, 7],
        &[
            ("0", "normal"),
            ("2", "telephone, authenticated"),
            ("3", "installment at a cash machine"),
            ("4", "preauthorization"),
            ("6", "update of the transaction counter"),
            ("8", "account status inquiry"),
            ("9", "token request"),
        ],
    ),
    (&[61, 8], &[("0", "no concern"), ("1", "suspected fraud"), ("2", "identity verified")]),
    (
        &[61, 10],
        &[
            ("0", "none"),
            ("1", "dispenses, with PIN"),
            ("2", "self-service"),
            ("3", "limited amount"),
            ("4", "in flight"),
            ("6", "electronic commerce"),
            ("7", "transponder"),
            ("9", "mobile acceptance"),
        ],
    ),
    (
        &[61, 11],
        &[
            ("0", "not known"),
            ("1", "no terminal"),
            ("2", "magnetic stripe"),
            ("3", "contactless chip"),
            ("4", "contactless magnetic stripe"),
            ("5", "chip and magnetic stripe"),
            ("6", "keyed"),
            ("7", "magnetic stripe, keyed"),
            ("8", "chip, magnetic stripe, keyed"),
            ("9", "chip"),
        ],
    ),
    (&[63, 1], &[("CIR", "Cirrus"), ("MCC", "Mastercard credit"), ("MDS", "Mastercard debit switch")]),
];
