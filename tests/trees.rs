//! The parts of divided fields as `decode` shows them: numbers, names, values and meanings, field by field.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

use turnpike::dialect::Dialect;
use turnpike::dialect::describe::describe;
use turnpike::iso8583::digits;
use turnpike::iso8583::value::Value;

/// What stands below a field in the description of a message, without offsets and lengths.
fn below(dialect: &Dialect, mti: u16, values: &[(u8, &str)], field: u8) -> Vec<String> {
    let values: Vec<(u8, Value<'_>)> =
        values.iter().map(|(field, value)| (*field, (*value).into())).collect();
    let mut frame = Vec::new();
    dialect.compose(mti, &values, &mut frame).unwrap_or_else(|error| panic!("{field}: {error}"));
    let text = describe(dialect, &frame);
    let start = format!("  DE {field} ");
    let lines = text.lines().skip_while(|line| !line.contains(&start)).skip(1);
    let parts = lines.take_while(|line| !line.contains("  DE ") && !line.starts_with("malformed"));
    parts.map(|line| line.get(14..).unwrap_or(line).trim_end().to_owned()).collect()
}

/// A row: MTI, values of the message, the field that is looked at, and what stands below it.
type Rows<'t> = [(u16, Vec<(u8, String)>, u8, &'t [&'t str])];

fn check(name: &str, rows: &Rows<'_>) {
    let dialect = Dialect::built_in(name).expect("a dialect that is compiled in");
    for (mti, values, field, expected) in rows {
        let values: Vec<(u8, &str)> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        assert_eq!(below(&dialect, *mti, &values, *field), *expected, "{name}: {field} of {values:?}");
    }
}

fn one(field: u8, value: impl Into<String>) -> Vec<(u8, String)> {
    vec![(field, value.into())]
}

/// Text in a field of bytes, in hex.
fn ebcdic(text: &str) -> String {
    digits::hex_text(&text.bytes().map(digits::to_ebcdic).collect::<Vec<u8>>())
}

#[test]
fn visa_positions() {
    check(
        "visa",
        &[
            (
                110,
                one(44, "5Y Z2    2 M05  2   A"),
                44,
                &[
                    "44.1 Response source: 5  (issuer)",
                    "44.2 Address verification result: Y  (both match, five digits)",
                    "44.3 Reserved:",
                    "44.4 Card product or stand-in reason: Z",
                    "44.5 CVV or online CAM result: 2  (passed)",
                    "44.6 PACM diversion level:",
                    "44.7 PACM diversion reason:",
                    "44.8 Card authentication result:",
                    "44.9 Reserved: 2",
                    "44.10 CVV2 result:",
                    "44.11 Original response code: M0",
                    "44.12 Check settlement: 5",
                    "44.13 CAVV result:",
                    "44.14 Response reason code:  2",
                    "44.rest:  A",
                ],
            ),
            (
                110,
                one(44, "4       2 P05"),
                44,
                &[
                    "44.1 Response source: 4  (stand-in, issuer unavailable)",
                    "44.2 Address verification result:",
                    "44.3 Reserved:",
                    "44.4 Card product or stand-in reason:",
                    "44.5 CVV or online CAM result:",
                    "44.6 PACM diversion level:",
                    "44.7 PACM diversion reason:",
                    "44.8 Card authentication result: 2  (cryptogram passed)",
                    "44.9 Reserved:",
                    "44.10 CVV2 result: P  (not processed)",
                    "44.11 Original response code: 05  (do not honour)",
                ],
            ),
            (
                100,
                one(60, "250100010801"),
                60,
                &[
                    "60.1 Terminal type: 2  (cash machine)",
                    "60.2 Terminal entry capability: 5  (chip and magnetic stripe)",
                    "60.3 Chip condition: 0",
                    "60.4 Special condition: 1",
                    "60.5 Not used: 00",
                    "60.6 Chip transaction indicator: 0",
                    "60.7 Card authentication reliability: 1  (acquirer says unreliable)",
                    "60.8 Mail, telephone and electronic commerce indicator: 08  (electronic commerce, not secure)",
                    "60.9 Cardholder identification method: 0",
                    "60.10 Additional authorization indicators: 1  (takes a part of the amount)",
                ],
            ),
            (
                100,
                vec![
                    (49, "840".to_owned()),
                    (51, "978".to_owned()),
                    (61, "000000000100000000000100000000000000".to_owned()),
                ],
                61,
                &[
                    "61.1 Cash back, transaction currency: 000000000100  (1.00 USD)",
                    "61.2 Cash back, billing currency: 000000000100  (1.00 EUR)",
                    "61.3 Replacement amount, billing currency: 000000000000  (0.00 EUR)",
                ],
            ),
        ],
    );
}

#[test]
fn visa_bitmaps() {
    let (y, code, product) = (ebcdic("Y"), ebcdic("A1B2"), ebcdic("F "));
    check(
        "visa",
        &[
            (
                100,
                one(62, format!("E000020000000000{y}0123456789012345{code}{product}")),
                62,
                &[
                    "62.1 Authorization characteristics indicator: Y  (asks for payment service)",
                    "62.2 Transaction identifier: 123456789012345",
                    "62.3 Validation code: A1B2",
                    "62.23 Card-level results: F",
                ],
            ),
            (
                100,
                one(62, format!("{y}0123456789012345{code}")),
                62,
                &[
                    "62.1 Authorization characteristics indicator: Y  (asks for payment service)",
                    "62.2 Transaction identifier: 123456789012345",
                    "62.3 Validation code: A1B2",
                ],
            ),
            (
                100,
                one(62, format!("8000002000000000{y}F1{}", ebcdic("Z"))),
                62,
                &[
                    "62.1 Authorization characteristics indicator: Y  (asks for payment service)",
                    "62.rest Unreadable: (2 bytes, not shown)",
                ],
            ),
            (
                420,
                one(63, format!("8001400002{}12", ebcdic("AB"))),
                63,
                &[
                    "63.1 Network identification code: 0002  (Visa)",
                    "63.16: (2 bytes, not shown)",
                    "63.18 Volume tier: 12",
                ],
            ),
            (
                420,
                one(63, "F000000002000025029020"),
                63,
                &[
                    "63.1 Network identification code: 0002  (Visa)",
                    "63.2 Preauthorization time limit: 0000",
                    "63.3 Message reason code: 2502  (not completed)",
                    "63.4 Stand-in or switch reason code: 9020  (issuer timed out)",
                ],
            ),
            (
                100,
                one(126, format!("0048000000000000{}{}", ebcdic("11 123"), ebcdic("R"))),
                126,
                &[
                    "126.10 CVV2 request data: (6 bytes, not shown)",
                    "126.13 Point of service environment: R  (recurring)",
                ],
            ),
        ],
    );
}

#[test]
fn visa_datasets() {
    check(
        "visa",
        &[
            (
                100,
                one(104, "56000E5F2A0208409F02060000000050005D000482023900"),
                104,
                &[
                    "104.56 Dataset",
                    "  tag 5F2A Transaction currency code: 0840  (USD, US dollar)",
                    "  tag 9F02 Amount, authorized: 000000005000",
                    "104.5D Dataset",
                    "  tag 82 Application interchange profile: 3900",
                ],
            ),
            (
                100,
                one(55, "01000B9F2701808A02303095010057"),
                55,
                &[
                    "55.01 Dataset",
                    "  tag 9F27 Cryptogram information data: 80  (ARQC, asks online)",
                    "  tag 8A Authorization response code: 3030",
                    "  tag 95 Terminal verification results: 00",
                    "55.rest Unreadable: (1 bytes, not shown)",
                ],
            ),
            (110, one(114, "010000"), 114, &["114.01 Dataset"]),
            (110, one(111, "0100FF"), 111, &["111.rest Unreadable: (3 bytes, not shown)"]),
        ],
    );
}

#[test]
fn mastercard_elements() {
    check(
        "mastercard",
        &[
            (
                100,
                one(48, "T2001S22080504M103420701032126105100116313MRW0110NZ12068202528402038701P"),
                48,
                &[
                    "48.lead Lead: T  (telephone, mail or electronic commerce)",
                    "48.20 Cardholder verification method: S  (signature or none)",
                    "48.22 Multi-purpose merchant indicator",
                    "  48.22.5 Cardholder or merchant initiated: M103  (merchant, subscription)",
                    "48.42 Electronic commerce indicators",
                    "  48.42.1 Security level and UCAF collection indicator: 212  \
                     (channel encrypted, cardholder certificate, authentication data given)",
                    "48.61 Point of service extended condition codes",
                    "  48.61.1 Partial approval: 1  (yes)",
                    "  48.61.2 Purchase amount only: 0  (no)",
                    "  48.61.3 Real-time substantiation: 0  (no)",
                    "  48.61.4 Merchant fraud screening: 1  (yes)",
                    "  48.61.5 Final authorization: 1  (final)",
                    "48.63 Trace identifier: MRW0110NZ1206  (network MRW, reference 0110NZ, 6 December)",
                    "48.82 Address verification request: 52  (address verification and authorization)",
                    "48.84 Merchant advice code: 03  (do not try again)",
                    "48.87 Card validation code result: P  (not processed)",
                ],
            ),
            (
                100,
                one(61, "1 04514080601840"),
                61,
                &[
                    "61.1 Attendance: 1  (unattended)",
                    "61.2 Reserved:",
                    "61.3 Location: 0  (on the acceptor's premises)",
                    "61.4 Cardholder presence: 4  (recurring)",
                    "61.5 Card presence: 5",
                    "61.6 Card capture capability: 1  (can keep the card)",
                    "61.7 Transaction status: 4  (preauthorization)",
                    "61.8 Transaction security: 0  (no concern)",
                    "61.9 Reserved: 8",
                    "61.10 Cardholder-activated terminal level: 0  (none)",
                    "61.11 Card data input capability: 6  (keyed)",
                    "61.12 Authorization life cycle, days: 01",
                    "61.13 Country code: 840",
                ],
            ),
            (
                100,
                one(63, "MCC123456"),
                63,
                &["63.1 Network code: MCC  (Mastercard credit)", "63.2 Reference number: 123456"],
            ),
            (
                120,
                one(60, "1020000"),
                60,
                &["60.1 Advice reason: 102  (issuer timed out)", "60.2 Advice detail: 0000"],
            ),
            (
                100,
                one(108, "010270113Homer Simpson0306SPRING02009010599999"),
                108,
                &[
                    "108.1 Receiver data",
                    "  108.1.1: Homer Simpson",
                    "  108.1.3: SPRING",
                    "108.2 Sender data",
                    "  108.2.1: 99999",
                ],
            ),
        ],
    );
}

#[test]
fn originals_and_replacements_by_part() {
    for name in Dialect::built_in_names() {
        // A number in which no window of digits has a check digit, so that nothing of it is masked.
        let original = "010000000206041200010000000000000000000000";
        let mut replacement = vec![
            "95.1 Actual amount, transaction: 000000003000  (30.00 USD)",
            "95.2 Actual amount, settlement: 000000000000  (0.00 USD)",
            "95.3 Actual amount, cardholder billing: 000000002800  (28.00 EUR)",
            "95.4 Not used: 000000",
        ];
        if name == "visa" {
            replacement.truncate(1);
            replacement.push("95.2 Not used: 000000000000000000002800000000");
        }
        let amounts = "000000003000000000000000000000002800000000";
        let values = |field, value: &str| {
            [(49, "840"), (50, "840"), (51, "978"), (field, value)]
                .map(|(field, value)| (field, value.to_owned()))
                .to_vec()
        };
        check(
            name,
            &[
                (
                    420,
                    values(90, original),
                    90,
                    &[
                        "90.1 Original message type: 0100  (ISO 8583:1987, authorization request, acquirer)",
                        "90.2 Original trace audit number: 000002",
                        "90.3 Original transmission date and time: 0604120001  (4 June, 12:00:01 UTC)",
                        "90.4 Original acquiring institution: 00000000000",
                        "90.5 Original forwarding institution: 00000000000",
                    ],
                ),
                (420, values(95, amounts), 95, &replacement),
            ],
        );
    }
}

#[test]
fn a_response_code_means_what_the_dialect_means_by_it() {
    // Dialect, MTI, DE 39, and its meaning.
    let table = [
        ("mastercard", 420, "82", "issuer timed out"),
        ("mastercard", 420, "17", "cancelled by the customer"),
        ("mastercard", 420, "32", "reversal of a part"),
        ("mastercard", 110, "82", "against policy"),
        ("mastercard", 110, "76", "no such account to pay to"),
        ("mastercard", 110, "79", "life cycle or key validation"),
        ("mastercard", 110, "88", "cryptogram not verifiable"),
        ("visa", 110, "76", "unsolicited reversal"),
        ("visa", 110, "79", "already reversed"),
        ("visa", 110, "82", "wrong CAM, dCVV, iCVV or CVV"),
        ("visa", 110, "N3", "no cash service"),
        ("visa", 110, "N4", "above the issuer's cash limit"),
        ("visa", 110, "Q1", "card authentication failed"),
        ("visa", 110, "5C", "not supported by the issuer"),
        ("visa", 110, "6P", "verification data failed"),
        ("visa", 110, "9G", "blocked by the cardholder"),
        ("iso87-ascii", 110, "76", "previous message not found"),
        ("iso87-ascii", 110, "51", "insufficient funds"),
    ];
    for (name, mti, code, meaning) in table {
        let dialect = Dialect::built_in(name).expect("a dialect that is compiled in");
        let mut frame = Vec::new();
        dialect.compose(mti, &[(39, code.into())], &mut frame).expect("a message");
        let text = describe(&dialect, &frame);
        assert!(text.contains(&format!("DE 39 Response code: {code}  ({meaning})")), "{name}: {text}");
    }
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let table = table.replace("insufficient-funds = \"51\"", "insufficient-funds = \"69\"");
    let dialect = Dialect::from_toml("mine.toml", &table).expect("a right table");
    let mut frame = Vec::new();
    dialect.compose(110, &[(39, "69".into())], &mut frame).expect("a message");
    assert!(describe(&dialect, &frame).contains("69  (insufficient funds)"));
}
