//! What codes mean, in words: message types, processing codes, response codes, entry modes, currencies, tags. The
//! tables hold what the dialects have in common; what a dialect's own table says comes first.

use crate::dialect::Dialect;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::iso8583::view::View;

type Words = &'static str;

fn find<K: PartialEq>(table: &[(K, Words)], key: &K) -> Option<Words> {
    table.iter().find(|(known, _)| known == key).map(|(_, words)| *words)
}

/// An MTI spelled out: version, class, function, origin.
#[must_use]
pub fn message_type(mti: u16) -> String {
    let digit = |divisor: u16| mti / divisor % 10;
    let version = match digit(1000) {
        0 => "ISO 8583:1987",
        1 => "ISO 8583:1993",
        2 => "ISO 8583:2003",
        8 => "national use",
        9 => "private use",
        _ => "no known version",
    };
    let class = match digit(100) {
        1 => "authorization",
        2 => "financial",
        3 => "file action",
        4 => "reversal",
        5 => "reconciliation",
        6 => "administrative",
        7 => "fee collection",
        8 => "network management",
        _ => "no known class",
    };
    let function = match digit(10) {
        0 => "request",
        1 => "response",
        2 => "advice",
        3 => "advice response",
        4 => "notification",
        5 => "notification acknowledgement",
        8 => "acknowledgement",
        9 => "negative acknowledgement",
        _ => "no known function",
    };
    let origin = match digit(1) {
        0 => "acquirer",
        1 => "acquirer, repeat",
        2 => "issuer",
        3 => "issuer, repeat",
        4 => "other",
        5 => "other, repeat",
        _ => "no known origin",
    };
    format!("{version}, {class} {function}, {origin}")
}

/// Whether an MTI is one that hosts send: a known version, class, function and origin.
pub(super) const fn is_message_type(mti: u16) -> bool {
    matches!(mti / 1000, 0..=2 | 8 | 9)
        && matches!(mti / 100 % 10, 1..=8)
        && matches!(mti / 10 % 10, 0..=5 | 8 | 9)
        && mti % 10 <= 5
}

/// What the value of a field means, beside its characters; `None` when nothing is known.
pub(super) fn field(dialect: &Dialect, view: &View<'_>, field: u8, clear: &str) -> Option<String> {
    match field {
        3 => processing_code(clear),
        4..=6 => amount(view, clear, [49, 50, 51][usize::from(field) - 4]),
        7 => date_and_time(clear),
        12 if clear.len() == 6 => time_of_day(clear),
        13 | 15..=17 if clear.len() == 4 => date(clear),
        14 => Some(format!("month {} of 20{}", clear.get(2..4)?, clear.get(..2)?)),
        18 => find(CATEGORIES, &clear).map(str::to_owned),
        22 => entry_mode(clear),
        25 => find(CONDITIONS, &clear).map(str::to_owned),
        39 => response_code(dialect, clear),
        49..=51 => currency(clear),
        70 => network_code(dialect, clear),
        _ => None,
    }
}

fn processing_code(clear: &str) -> Option<String> {
    let (kind, from, to) = (clear.get(..2)?, clear.get(2..4)?, clear.get(4..6)?);
    let kind = find(KINDS, &kind)?;
    let account = |code: &str| match find(ACCOUNTS, &code) {
        Some(words) => words.to_owned(),
        None => format!("account {code}"),
    };
    Some(format!("{kind}, from {}, to {}", account(from), account(to)))
}

fn amount(view: &View<'_>, clear: &str, currency: u8) -> Option<String> {
    let minor = clear.parse::<i64>().ok()?;
    let currency = numeric_currency(view, currency)?;
    let (alpha, _) = name_of(currency.numeric())?;
    // Without the number of the currency, which the amount ends with.
    let text = Money::new(minor, currency).to_string();
    Some(format!("{} {alpha}", text.split(' ').next()?))
}

/// The currency in a field, which may be numeric or text.
fn numeric_currency(view: &View<'_>, field: u8) -> Option<Currency> {
    let mut buffer = [0; 4];
    let text = view.text(field, &mut buffer)?;
    Currency::new(std::str::from_utf8(text).ok()?.trim().parse().ok()?)
}

fn currency(clear: &str) -> Option<String> {
    name_of(clear.trim().parse().ok()?).map(|(alpha, name)| format!("{alpha}, {name}"))
}

/// Whether a numeric code is that of a currency in use.
pub(super) fn is_currency(numeric: u16) -> bool {
    name_of(numeric).is_some()
}

fn name_of(numeric: u16) -> Option<(Words, Words)> {
    CURRENCIES.iter().find(|(known, _, _)| *known == numeric).map(|(_, alpha, name)| (*alpha, *name))
}

fn two_digits(clear: &str, at: usize) -> Option<u32> {
    clear.get(at..at + 2)?.parse().ok()
}

fn date(clear: &str) -> Option<String> {
    let (month, day) = (two_digits(clear, 0)?, two_digits(clear, 2)?);
    let name = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    (1..=31).contains(&day).then(|| format!("{day} {name}"))
}

fn time_of_day(clear: &str) -> Option<String> {
    let (hour, minute, second) = (two_digits(clear, 0)?, two_digits(clear, 2)?, two_digits(clear, 4)?);
    (hour < 24 && minute < 60 && second < 60).then(|| format!("{hour:02}:{minute:02}:{second:02}"))
}

fn date_and_time(clear: &str) -> Option<String> {
    Some(format!("{}, {} UTC", date(clear.get(..4)?)?, time_of_day(clear.get(4..)?)?))
}

/// Whether DE 7 is a date and a time.
pub(super) fn is_date_and_time(clear: &str) -> bool {
    clear.len() == 10 && date_and_time(clear).is_some()
}

/// Whether DE 12 is a time of day.
pub(super) fn is_time_of_day(clear: &str) -> bool {
    time_of_day(clear).is_some()
}

/// Whether DE 13 and its like are dates. Hosts send zeros for none.
pub(super) fn is_date(clear: &str) -> bool {
    clear == "0000" || date(clear).is_some()
}

/// DE 22: how the card number came (two digits), and whether the terminal takes a PIN (the third).
fn entry_mode(clear: &str) -> Option<String> {
    let mode = find(ENTRY_MODES, &clear.get(..2)?)?;
    let pin = match clear.as_bytes().get(2) {
        Some(b'1') => ", takes a PIN",
        Some(b'2') => ", takes no PIN",
        Some(b'8') => ", PIN pad out of order",
        _ => "",
    };
    Some(format!("{mode}{pin}"))
}

fn response_code(dialect: &Dialect, clear: &str) -> Option<String> {
    if let Some(words) = find(RESPONSES, &clear) {
        return Some(words.to_owned());
    }
    let own = dialect.response_codes.iter().filter(|(_, code)| code == clear.as_bytes());
    let own: Vec<&str> = own.map(|(action, _)| action.name()).collect();
    (!own.is_empty()).then(|| own.join(" or "))
}

/// Whether DE 39 is a code that hosts send.
pub(super) fn is_response_code(dialect: &Dialect, clear: &str) -> bool {
    response_code(dialect, clear).is_some()
}

fn network_code(dialect: &Dialect, clear: &str) -> Option<String> {
    let code = clear.parse::<u16>().ok()?;
    let codes = &dialect.network_codes;
    let own = [(&codes.sign_on, "sign-on"), (&codes.sign_off, "sign-off"), (&codes.echo, "echo test")];
    let own = own.into_iter().find(|(codes, _)| codes.contains(&code)).map(|(_, words)| words);
    own.or_else(|| find(NETWORK_CODES, &code)).map(str::to_owned)
}

/// Whether a processing code is of a known kind.
pub(super) fn is_processing_code(clear: &str) -> bool {
    clear.get(..2).is_some_and(|kind| find(KINDS, &kind).is_some())
}

/// Whether DE 70 is a code that is known.
pub(super) fn is_network_code(dialect: &Dialect, clear: &str) -> bool {
    network_code(dialect, clear).is_some()
}

/// The name of a tag of chip data; empty when it is not known.
pub(super) fn tag(tag: u32) -> Words {
    find(TAGS, &tag).unwrap_or("")
}

/// What the value of a tag means, from its hex.
pub(super) fn tag_value(tag: u32, hex: &str) -> Option<String> {
    match tag {
        0x5f2a | 0x9f42 => currency(hex.get(1..)?),
        0x9a => Some(format!("{} 20{}", date(hex.get(2..)?)?, hex.get(..2)?)),
        0x9f21 => time_of_day(hex),
        0x9c => find(KINDS, &hex).map(str::to_owned),
        0x9f27 => match u8::from_str_radix(hex, 16).ok()? & 0xc0 {
            0x00 => Some("AAC, declined offline".to_owned()),
            0x40 => Some("TC, approved offline".to_owned()),
            0x80 => Some("ARQC, asks online".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

const MONTHS: [Words; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// DE 3, first two digits.
const KINDS: &[(&str, Words)] = &[
    ("00", "goods and services"),
    ("01", "cash"),
    ("02", "debit adjustment"),
    ("03", "cheque guarantee"),
    ("04", "cheque verification"),
    ("09", "goods and services with cash back"),
    ("10", "account funding"),
    ("11", "quasi cash"),
    ("17", "cash disbursement"),
    ("18", "unique transaction"),
    ("19", "fee"),
    ("20", "refund"),
    ("21", "deposit"),
    ("22", "credit adjustment"),
    ("23", "cheque deposit guarantee"),
    ("24", "cheque deposit"),
    ("26", "original credit"),
    ("28", "payment"),
    ("29", "funds disbursement"),
    ("30", "available funds inquiry"),
    ("31", "balance inquiry"),
    ("33", "account verification"),
    ("38", "card verification"),
    ("39", "eligibility inquiry"),
    ("40", "account transfer"),
    ("50", "bill payment"),
    ("53", "payment from account"),
    ("58", "payment enclosed"),
    ("90", "place hold on card"),
    ("91", "PIN unblock"),
    ("92", "PIN change"),
];

/// DE 3, third and fourth, fifth and sixth digits.
const ACCOUNTS: &[(&str, Words)] = &[
    ("00", "default"),
    ("10", "savings"),
    ("20", "checking"),
    ("30", "credit"),
    ("40", "universal"),
    ("50", "investment"),
    ("60", "stored value"),
    ("64", "prepaid"),
];

/// DE 22, first two digits.
const ENTRY_MODES: &[(&str, Words)] = &[
    ("00", "not known how the card number came"),
    ("01", "keyed"),
    ("02", "magnetic stripe"),
    ("03", "bar or QR code"),
    ("04", "optical"),
    ("05", "chip"),
    ("06", "keyed"),
    ("07", "contactless chip"),
    ("08", "contactless, no CVV"),
    ("09", "electronic commerce, chip"),
    ("10", "credential on file"),
    ("79", "keyed, chip could not be read"),
    ("80", "magnetic stripe, chip could not be read"),
    ("81", "electronic commerce"),
    ("82", "issuer or wallet server"),
    ("90", "whole magnetic stripe"),
    ("91", "contactless magnetic stripe"),
    ("95", "chip, card data unreliable"),
];

/// DE 25.
const CONDITIONS: &[(&str, Words)] = &[
    ("00", "normal"),
    ("01", "cardholder not present"),
    ("02", "unattended terminal"),
    ("03", "merchant suspicious"),
    ("04", "electronic cash register"),
    ("05", "cardholder present, card not"),
    ("06", "preauthorization"),
    ("07", "telephone device"),
    ("08", "mail or telephone order"),
    ("10", "identity verified"),
    ("51", "account verification"),
    ("52", "recurring or moved on"),
    ("59", "electronic commerce"),
    ("71", "card present, stripe could not be read"),
];

/// DE 18, those met most.
const CATEGORIES: &[(&str, Words)] = &[
    ("4111", "commuter transport"),
    ("4121", "taxi"),
    ("4511", "airline"),
    ("4814", "telecommunication"),
    ("4829", "money transfer"),
    ("5311", "department store"),
    ("5411", "grocery"),
    ("5499", "food shop"),
    ("5541", "service station"),
    ("5542", "automated fuel dispenser"),
    ("5651", "clothing"),
    ("5732", "electronics"),
    ("5811", "caterer"),
    ("5812", "restaurant"),
    ("5814", "fast food"),
    ("5912", "pharmacy"),
    ("5999", "specialty retail"),
    ("6010", "cash at a counter"),
    ("6011", "cash at a machine"),
    ("6012", "financial institution"),
    ("6051", "quasi cash"),
    ("7011", "hotel"),
    ("7512", "car rental"),
    ("7995", "gambling"),
];

/// DE 39 as most dialects use it.
const RESPONSES: &[(&str, Words)] = &[
    ("00", "approved"),
    ("01", "refer to issuer"),
    ("02", "refer to issuer, special condition"),
    ("03", "invalid merchant"),
    ("04", "pick up card"),
    ("05", "do not honour"),
    ("06", "error"),
    ("07", "pick up card, special condition"),
    ("08", "honour with identification"),
    ("10", "approved for a part"),
    ("11", "approved, VIP"),
    ("12", "invalid transaction"),
    ("13", "invalid amount"),
    ("14", "no such card number"),
    ("15", "no such issuer"),
    ("19", "enter again"),
    ("21", "no action taken"),
    ("25", "record not found"),
    ("28", "file not available"),
    ("30", "format error"),
    ("39", "no credit account"),
    ("41", "lost card"),
    ("43", "stolen card"),
    ("46", "closed account"),
    ("51", "insufficient funds"),
    ("52", "no checking account"),
    ("53", "no savings account"),
    ("54", "expired card"),
    ("55", "wrong PIN"),
    ("57", "not permitted to cardholder"),
    ("58", "not permitted to terminal"),
    ("59", "suspected fraud"),
    ("61", "above the amount limit"),
    ("62", "restricted card"),
    ("63", "security violation"),
    ("65", "above the count limit"),
    ("68", "answer came too late"),
    ("70", "contact issuer"),
    ("71", "PIN not changed"),
    ("75", "too many PIN tries"),
    ("76", "previous message not found"),
    ("77", "no match with the original"),
    ("78", "blocked, first use"),
    ("79", "already reversed"),
    ("80", "invalid date"),
    ("81", "PIN cryptography error"),
    ("82", "wrong verification value"),
    ("85", "no reason to decline"),
    ("86", "PIN cannot be verified"),
    ("87", "purchase only, no cash back"),
    ("88", "cryptographic failure"),
    ("91", "issuer or switch unavailable"),
    ("92", "no route"),
    ("93", "violation of law"),
    ("94", "duplicate"),
    ("95", "reconcile error"),
    ("96", "system malfunction"),
    ("N7", "wrong CVV2"),
    ("1A", "authentication required"),
    ("R0", "payment order stopped"),
    ("R1", "authorization revoked"),
];

/// DE 70 as most networks use it.
const NETWORK_CODES: &[(u16, Words)] = &[
    (1, "sign-on"),
    (2, "sign-off"),
    (60, "request for stored messages"),
    (61, "group sign-on"),
    (62, "group sign-off"),
    (71, "sign-on"),
    (72, "sign-off"),
    (78, "start of stored messages"),
    (79, "end of stored messages"),
    (81, "prefix sign-on"),
    (82, "prefix sign-off"),
    (101, "key change"),
    (161, "key exchange"),
    (162, "key exchange request"),
    (163, "key exchange, new key"),
    (164, "key exchange, repeat"),
    (201, "cut-over"),
    (270, "echo test"),
    (301, "echo test"),
    (363, "end of stored messages"),
];

/// ISO 4217: numeric code, letters, name.
const CURRENCIES: &[(u16, Words, Words)] = &[
    (32, "ARS", "Argentine peso"),
    (36, "AUD", "Australian dollar"),
    (48, "BHD", "Bahraini dinar"),
    (50, "BDT", "Bangladeshi taka"),
    (68, "BOB", "Bolivian boliviano"),
    (124, "CAD", "Canadian dollar"),
    (144, "LKR", "Sri Lankan rupee"),
    (152, "CLP", "Chilean peso"),
    (156, "CNY", "Chinese yuan"),
    (170, "COP", "Colombian peso"),
    (188, "CRC", "Costa Rican colon"),
    (203, "CZK", "Czech koruna"),
    (208, "DKK", "Danish krone"),
    (214, "DOP", "Dominican peso"),
    (230, "ETB", "Ethiopian birr"),
    (320, "GTQ", "Guatemalan quetzal"),
    (340, "HNL", "Honduran lempira"),
    (344, "HKD", "Hong Kong dollar"),
    (348, "HUF", "Hungarian forint"),
    (352, "ISK", "Icelandic krona"),
    (356, "INR", "Indian rupee"),
    (360, "IDR", "Indonesian rupiah"),
    (368, "IQD", "Iraqi dinar"),
    (376, "ILS", "Israeli new shekel"),
    (388, "JMD", "Jamaican dollar"),
    (392, "JPY", "Japanese yen"),
    (398, "KZT", "Kazakh tenge"),
    (400, "JOD", "Jordanian dinar"),
    (404, "KES", "Kenyan shilling"),
    (410, "KRW", "South Korean won"),
    (414, "KWD", "Kuwaiti dinar"),
    (422, "LBP", "Lebanese pound"),
    (446, "MOP", "Macanese pataca"),
    (458, "MYR", "Malaysian ringgit"),
    (484, "MXN", "Mexican peso"),
    (504, "MAD", "Moroccan dirham"),
    (512, "OMR", "Omani rial"),
    (524, "NPR", "Nepalese rupee"),
    (554, "NZD", "New Zealand dollar"),
    (558, "NIO", "Nicaraguan cordoba"),
    (566, "NGN", "Nigerian naira"),
    (578, "NOK", "Norwegian krone"),
    (586, "PKR", "Pakistani rupee"),
    (590, "PAB", "Panamanian balboa"),
    (600, "PYG", "Paraguayan guarani"),
    (604, "PEN", "Peruvian sol"),
    (608, "PHP", "Philippine peso"),
    (634, "QAR", "Qatari riyal"),
    (643, "RUB", "Russian rouble"),
    (682, "SAR", "Saudi riyal"),
    (702, "SGD", "Singapore dollar"),
    (704, "VND", "Vietnamese dong"),
    (710, "ZAR", "South African rand"),
    (752, "SEK", "Swedish krona"),
    (756, "CHF", "Swiss franc"),
    (764, "THB", "Thai baht"),
    (784, "AED", "UAE dirham"),
    (788, "TND", "Tunisian dinar"),
    (800, "UGX", "Ugandan shilling"),
    (818, "EGP", "Egyptian pound"),
    (826, "GBP", "pound sterling"),
    (834, "TZS", "Tanzanian shilling"),
    (840, "USD", "US dollar"),
    (858, "UYU", "Uruguayan peso"),
    (901, "TWD", "New Taiwan dollar"),
    (936, "GHS", "Ghanaian cedi"),
    (941, "RSD", "Serbian dinar"),
    (946, "RON", "Romanian leu"),
    (949, "TRY", "Turkish lira"),
    (950, "XAF", "Central African franc"),
    (952, "XOF", "West African franc"),
    (953, "XPF", "CFP franc"),
    (975, "BGN", "Bulgarian lev"),
    (978, "EUR", "euro"),
    (980, "UAH", "Ukrainian hryvnia"),
    (981, "GEL", "Georgian lari"),
    (985, "PLN", "Polish zloty"),
    (986, "BRL", "Brazilian real"),
];

/// EMV book 3, annex A, and what the networks add.
const TAGS: &[(u32, Words)] = &[
    (0x42, "Issuer identification number"),
    (0x4f, "Application identifier, card"),
    (0x50, "Application label"),
    (0x56, "Track 1 equivalent data"),
    (0x57, "Track 2 equivalent data"),
    (0x5a, "Application primary account number"),
    (0x5f20, "Cardholder name"),
    (0x5f24, "Application expiration date"),
    (0x5f25, "Application effective date"),
    (0x5f28, "Issuer country code"),
    (0x5f2a, "Transaction currency code"),
    (0x5f2d, "Language preference"),
    (0x5f30, "Service code"),
    (0x5f34, "Application PAN sequence number"),
    (0x5f36, "Transaction currency exponent"),
    (0x71, "Issuer script template 1"),
    (0x72, "Issuer script template 2"),
    (0x82, "Application interchange profile"),
    (0x84, "Dedicated file name"),
    (0x86, "Issuer script command"),
    (0x8a, "Authorization response code"),
    (0x8e, "Cardholder verification method list"),
    (0x8f, "Certification authority public key index"),
    (0x91, "Issuer authentication data"),
    (0x94, "Application file locator"),
    (0x95, "Terminal verification results"),
    (0x99, "Transaction PIN data"),
    (0x9a, "Transaction date"),
    (0x9b, "Transaction status information"),
    (0x9c, "Transaction type"),
    (0x9f01, "Acquirer identifier"),
    (0x9f02, "Amount, authorized"),
    (0x9f03, "Amount, other"),
    (0x9f06, "Application identifier, terminal"),
    (0x9f07, "Application usage control"),
    (0x9f08, "Application version number, card"),
    (0x9f09, "Application version number, terminal"),
    (0x9f0a, "Application selection registered proprietary data"),
    (0x9f0b, "Cardholder name, extended"),
    (0x9f0d, "Issuer action code, default"),
    (0x9f0e, "Issuer action code, denial"),
    (0x9f0f, "Issuer action code, online"),
    (0x9f10, "Issuer application data"),
    (0x9f11, "Issuer code table index"),
    (0x9f12, "Application preferred name"),
    (0x9f13, "Last online application transaction counter"),
    (0x9f15, "Merchant category code"),
    (0x9f16, "Merchant identifier"),
    (0x9f17, "PIN try counter"),
    (0x9f18, "Issuer script identifier"),
    (0x9f19, "Token requestor identifier"),
    (0x9f1a, "Terminal country code"),
    (0x9f1b, "Terminal floor limit"),
    (0x9f1c, "Terminal identification"),
    (0x9f1d, "Terminal risk management data"),
    (0x9f1e, "Interface device serial number"),
    (0x9f1f, "Track 1 discretionary data"),
    (0x9f20, "Track 2 discretionary data"),
    (0x9f21, "Transaction time"),
    (0x9f24, "Payment account reference"),
    (0x9f25, "Last four digits of the card number"),
    (0x9f26, "Application cryptogram"),
    (0x9f27, "Cryptogram information data"),
    (0x9f33, "Terminal capabilities"),
    (0x9f34, "Cardholder verification method results"),
    (0x9f35, "Terminal type"),
    (0x9f36, "Application transaction counter"),
    (0x9f37, "Unpredictable number"),
    (0x9f39, "Point of service entry mode"),
    (0x9f40, "Additional terminal capabilities"),
    (0x9f41, "Transaction sequence counter"),
    (0x9f42, "Application currency code"),
    (0x9f45, "Data authentication code"),
    (0x9f4c, "ICC dynamic number"),
    (0x9f4e, "Merchant name and location"),
    (0x9f53, "Transaction category code"),
    (0x9f5b, "Issuer script results"),
    (0x9f5d, "Available offline spending amount"),
    (0x9f66, "Terminal transaction qualifiers"),
    (0x9f69, "Card authentication related data"),
    (0x9f6b, "Track 2 data, contactless"),
    (0x9f6c, "Card transaction qualifiers"),
    (0x9f6e, "Form factor indicator"),
    (0x9f7c, "Customer exclusive data"),
    (0xdf81_29, "Outcome parameter set"),
];
