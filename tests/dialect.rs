//! What the built-in dialects make of a request, and what they answer, field by field.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

use turnpike::dialect::Dialect;
use turnpike::dialect::describe::describe;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::dialect::network::OwnRequest;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::answer::Balances;
use turnpike::domain::answer::PartialApproval;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::NetworkManagement;
use turnpike::domain::request::Presented;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::Scope;
use turnpike::domain::request::Stan;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::time::Timestamp;
use turnpike::domain::usage::Channel;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;

/// Fields with their values as text.
type Values<'v> = [(u8, &'v str)];

const PAN: &str = "4111111111111111";

/// What both dialects need of a purchase.
const PURCHASE: &Values<'static> = &[
    (2, PAN),
    (3, "000000"),
    (4, "000000005000"),
    (7, "0604123456"),
    (11, "123456"),
    (14, "2912"),
    (18, "5999"),
    (32, "12345678901"),
    (37, "REF123456789"),
    (41, "TERMID01"),
    (42, "MERCHANT0000001"),
    (49, "840"),
];

fn context() -> Context {
    Context { network: NameId::of("network"), link: NameId::of("link") }
}

fn dialect(name: &str) -> Dialect {
    Dialect::built_in(name).expect("a dialect that is compiled in")
}

/// The purchase with other values; an empty one leaves the field out.
fn with<'v>(changes: &Values<'v>) -> Vec<(u8, &'v str)> {
    let mut values: Vec<(u8, &str)> = PURCHASE.to_vec();
    for (field, value) in changes {
        values.retain(|(known, _)| known != field);
        if !value.is_empty() {
            values.push((*field, value));
        }
    }
    values.sort_by_key(|(field, _)| *field);
    values
}

fn frame(dialect: &Dialect, mti: u16, values: &Values<'_>) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut out = Vec::new();
    dialect.compose(mti, &values, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

fn body<'f>(dialect: &Dialect, frame: &'f [u8]) -> &'f [u8] {
    let found = dialect.frame(frame).expect("a right frame").expect("a whole frame");
    assert_eq!(found.total, frame.len());
    &frame[found.body]
}

fn inbound(dialect: &Dialect, mti: u16, values: &Values<'_>) -> Result<Inbound, String> {
    let frame = frame(dialect, mti, values);
    let mut spans = Spans::default();
    let received = dialect.decode(body(dialect, &frame), context(), &mut spans);
    received.map(|received| received.inbound).map_err(|malformed| malformed.fault.to_string())
}

fn authorization(dialect: &Dialect, mti: u16, values: &Values<'_>) -> AuthorizationRequest {
    match inbound(dialect, mti, values) {
        Ok(Inbound::Authorization(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn reversal(dialect: &Dialect, mti: u16, values: &Values<'_>) -> ReversalRequest {
    match inbound(dialect, mti, values) {
        Ok(Inbound::Reversal(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// MTI and fields of a frame, as `39=00`.
fn fields(dialect: &Dialect, frame: &[u8]) -> (u16, Vec<String>) {
    let mut spans = Spans::default();
    let received = dialect.decode(body(dialect, frame), context(), &mut spans).expect("a right answer");
    let view = received.view;
    let values = view.fields().iter();
    let values = values.map(|field| format!("{field}={}", dialect.value(&view, field).expect("a field")));
    (view.mti(), values.collect())
}

fn answered(dialect: &Dialect, mti: u16, values: &Values<'_>, answer: &Answer) -> (u16, Vec<String>) {
    let request = frame(dialect, mti, values);
    let mut spans = Spans::default();
    let received = dialect.decode(body(dialect, &request), context(), &mut spans).expect("a right request");
    let mut out = b"before".to_vec();
    dialect.write_answer(&received, answer, &mut out).expect("an answer that fits");
    assert!(out.starts_with(b"before"));
    fields(dialect, &out[6..])
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::new(840).expect("a currency"))
}

fn approval() -> Answer {
    Answer {
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        ..Answer::decline(ActionCode::Approved, Sequence(1))
    }
}

#[test]
fn every_data_element_of_two_bitmaps_has_a_row_and_a_name() {
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for field in (2..=128).filter(|field| *field != 65) {
            assert!(dialect.layout().field(field).is_some(), "{name}: {field}");
            assert!(!dialect.field_name(field).is_empty(), "{name}: {field}");
        }
    }
}

#[test]
fn a_purchase_becomes_a_request() {
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        let values = with(&[(6, "000000004600"), (51, "978"), (52, "0102030405060708")]);
        let request = authorization(&dialect, 101, &values);
        assert_eq!(request.key.stan, Stan(123_456));
        assert_eq!(request.key.transmission.digits(), 604_123_456);
        assert_eq!(request.key.acquirer, InstitutionId(12_345_678_901));
        assert_eq!(request.key.rrn.to_string(), "REF123456789");
        assert_eq!(request.key.terminal.to_string(), "TERMID01");
        assert_eq!(request.key.merchant.to_string(), "MERCHANT0000001");
        assert_eq!((request.pan.value(), request.pan.digits()), (4_111_111_111_111_111, 16));
        assert_eq!(request.expiry.map(|expiry| expiry.digits()), Some(2912));
        assert_eq!((request.class, request.repeat), (MessageClass::Authorization, true));
        assert_eq!((request.kind, request.amount), (TransactionKind::Purchase, usd(5000)));
        assert_eq!(request.billing.map(|money| (money.minor, money.currency.numeric())), Some((4600, 978)));
        assert_eq!((request.mcc, request.presented), (5999, Presented::PIN));
        let financial = authorization(&dialect, 200, PURCHASE);
        assert_eq!((financial.class, financial.repeat), (MessageClass::Financial, false));
    }
}

#[test]
fn the_card_may_come_in_the_track() {
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        let track = "4111111111111111D30012011234567890";
        let request = authorization(&dialect, 100, &with(&[(2, ""), (14, ""), (35, track)]));
        assert_eq!(request.pan.value(), 4_111_111_111_111_111);
        assert_eq!(request.expiry.map(|expiry| expiry.digits()), Some(3001));
        assert_eq!(request.presented, Presented::TRACK);
    }
}

#[test]
fn what_is_missing_or_makes_no_sense_is_named() {
    let table: &[(&Values<'_>, &str)] = &[
        (&[(2, "")], "field 2: it is missing"),
        (&[(2, "1234567")], "field 2: it is no card number"),
        (&[(2, ""), (35, "12345D3001")], "field 35: it is no card number"),
        (&[(3, "")], "field 3: it is missing"),
        (&[(4, "")], "field 4: it is missing"),
        (&[(7, "")], "field 7: it is missing"),
        (&[(7, "1331123456")], "field 7: it is no date"),
        (&[(7, "0604243456")], "field 7: it is no date"),
        (&[(11, "")], "field 11: it is missing"),
        (&[(13, "0230")], "field 13: it is no date"),
        (&[(15, "0230")], "field 15: it is no date"),
        (&[(17, "1301")], "field 17: it is no date"),
        (&[(14, "2913")], "field 14: it is no date"),
        (&[(49, "")], "field 49: it is missing"),
    ];
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for (changes, expected) in table {
            let found = inbound(&dialect, 100, &with(changes));
            assert_eq!(found, Err((*expected).to_owned()), "{name}");
        }
        let inquiry = with(&[(3, "301000"), (4, ""), (49, "")]);
        let request = authorization(&dialect, 100, &inquiry);
        assert_eq!((request.kind, request.amount.minor), (TransactionKind::BalanceInquiry, 0));
        for missing in [11, 70] {
            let values: Vec<(u8, &str)> = [(7, "0604123456"), (11, "000001"), (70, "301")].to_vec();
            let values: Vec<_> = values.into_iter().filter(|(field, _)| *field != missing).collect();
            assert_eq!(inbound(&dialect, 800, &values), Err(format!("field {missing}: it is missing")));
        }
    }
}

#[test]
fn visa_subfields_reach_the_request() {
    let visa = dialect("visa");
    let dataset = "01000F9F2608112233445566778882023900";
    let table: &[(&Values<'_>, Presented, bool, u64)] = &[
        (&[], Presented(0), false, 0),
        (&[(55, dataset)], Presented::CRYPTOGRAM, false, 0),
        (&[(55, "01000482023900")], Presented(0), false, 0),
        (&[(126, "0040000000000000F1F1F0F1F2F3")], Presented::CVV2, false, 0),
        (&[(126, "0040000000000000F0F1F0F0F0F0")], Presented(0), false, 0),
        // Behind names and addresses, and behind a part without a row.
        (
            &[(126, &format!("C040000000000000{}F1F1F0F1F2F3", "40".repeat(25 + 57)))],
            Presented::CVV2,
            false,
            0,
        ),
        (&[(126, "0040400000000000F1F1F0F1F2F3AABBCC")], Presented::CVV2, false, 0),
        (&[(60, "050000000001")], Presented(0), true, 0),
        (&[(60, "050000000003")], Presented(0), true, 0),
        (&[(60, "050000000002")], Presented(0), false, 0),
        (&[(60, "0500000010")], Presented(0), false, 0),
        (&[(62, "C000000000000000E80123456789012345")], Presented(0), false, 123_456_789_012_345),
        (&[(62, "400000000000000001234567")], Presented(0), false, 0),
        (&[(62, "C000000040000000E80123456789012345AABB")], Presented(0), false, 123_456_789_012_345),
        // Without a bitmap: all three, the first two, and the first alone.
        (&[(62, "E80123456789012345C1F1C2F2")], Presented(0), false, 123_456_789_012_345),
        (&[(62, "E80123456789012345")], Presented(0), false, 123_456_789_012_345),
        (&[(62, "E8")], Presented(0), false, 0),
        (&[(62, "8000000000000000E8")], Presented(0), false, 0),
    ];
    for (changes, presented, partial, reference) in table {
        let request = authorization(&visa, 100, &with(changes));
        assert_eq!(request.presented, *presented, "{changes:?}");
        assert_eq!(request.partial_supported, *partial, "{changes:?}");
        assert_eq!(request.key.network_reference, *reference, "{changes:?}");
    }
}

#[test]
fn r18_channel_and_country_are_told_from_what_each_network_says() {
    let table: &[(&str, &Values<'_>, Channel)] = &[
        ("visa", &[(22, "0510")], Channel::Chip),
        ("visa", &[(22, "0710")], Channel::Contactless),
        ("visa", &[(22, "9110")], Channel::Contactless),
        ("visa", &[(22, "9010")], Channel::MagneticStripe),
        ("visa", &[(22, "0100")], Channel::Other),
        ("visa", &[(22, "0100"), (25, "59")], Channel::Ecommerce),
        ("visa", &[(22, "0100"), (60, "050000000700")], Channel::Ecommerce),
        ("visa", &[(22, "0100"), (60, "050000000100")], Channel::Other),
        ("visa", &[(22, "1000")], Channel::Ecommerce),
        ("visa", &[(22, "0510"), (18, "6011"), (3, "010000")], Channel::Atm),
        ("visa", &[(22, "0510"), (18, "6010"), (3, "010000")], Channel::Chip),
        ("mastercard", &[(22, "051")], Channel::Chip),
        ("mastercard", &[(22, "071")], Channel::Contactless),
        ("mastercard", &[(22, "801")], Channel::MagneticStripe),
        ("mastercard", &[(22, "810")], Channel::Ecommerce),
        ("mastercard", &[(22, "100")], Channel::Ecommerce),
        ("mastercard", &[(22, "010")], Channel::Other),
        ("mastercard", &[(22, "021"), (3, "013000")], Channel::Atm),
        ("iso87-ascii", &[(22, "010"), (25, "59")], Channel::Ecommerce),
        ("iso87-ascii", &[], Channel::Other),
    ];
    let countries: &[(&str, &Values<'_>, u16)] = &[
        ("visa", &[(19, "276")], 276),
        ("visa", &[], 0),
        ("mastercard", &[(61, "0000000000800276902101234")], 276),
        ("mastercard", &[(61, "00000000008002X6902101234")], 0),
        ("mastercard", &[(61, "0000000000800")], 0),
        ("mastercard", &[(19, "840"), (61, "0000000000800276902101234")], 840),
    ];
    for (name, changes, country) in countries {
        assert_eq!(
            authorization(&dialect(name), 100, &with(changes)).country,
            *country,
            "{name} {changes:?}"
        );
    }
    for (name, changes, channel) in table {
        let dialect = dialect(name);
        assert_eq!(authorization(&dialect, 100, &with(changes)).channel, *channel, "{name} {changes:?}");
        let advice = [(14, ""), (38, "ABC123")];
        let values: Vec<(u8, &str)> = changes.iter().chain(&advice).copied().collect();
        match inbound(&dialect, 120, &with(&values)) {
            Ok(Inbound::Advice(advice)) => assert_eq!(advice.channel, *channel, "{name} {changes:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn mastercard_subelements_reach_the_request() {
    let mastercard = dialect("mastercard");
    let table: &[(&Values<'_>, Presented, bool)] = &[
        (&[], Presented(0), false),
        (&[(48, "R6105100009203123")], Presented::CVV2, true),
        (&[(48, "6105100009203123")], Presented::CVV2, true),
        (&[(48, "R610501000")], Presented(0), false),
        (&[(48, "R3801Z610510000")], Presented(0), true),
        (&[(48, "R9200")], Presented(0), false),
        (&[(48, "T4328jJJLtQa+Iws8AREAEbjsA1MAAAA=")], Presented::AUTHENTICATION, false),
        (
            &[(48, "T4328jJJLtQa+Iws8AREAEbjsA1MAAAA=9203999")],
            Presented::AUTHENTICATION.with(Presented::CVV2),
            false,
        ),
        // What cannot be read says nothing, and the message is still a request.
        (&[(48, "R61991")], Presented(0), false),
        (&[(48, "RX")], Presented(0), false),
        (&[(55, "9F26080102030405060708")], Presented::CRYPTOGRAM, false),
        (&[(55, "82023900")], Presented(0), false),
        (&[(45, "B4111111111111111^NAME^2912")], Presented::TRACK, false),
    ];
    for (changes, presented, partial) in table {
        let request = authorization(&mastercard, 100, &with(changes));
        assert_eq!(request.presented, *presented, "{changes:?}");
        assert_eq!(request.partial_supported, *partial, "{changes:?}");
    }
    assert_eq!(authorization(&mastercard, 100, &with(&[(22, "051")])).entry_mode, 51);
}

#[test]
fn r7_a_mastercard_transaction_is_named_by_its_trace_id() {
    let mastercard = dialect("mastercard");
    let reference = |mti, changes: &Values<'_>| match inbound(&mastercard, mti, &with(changes)) {
        Ok(Inbound::Authorization(request)) => request.key.network_reference,
        Ok(Inbound::Reversal(request)) => request.key.network_reference,
        other => panic!("{other:?}"),
    };
    let own: &Values<'_> = &[(15, "1206"), (63, "MRW0110NZ")];
    let id = reference(100, own);
    assert!(id > 0 && id >> 56 == 0, "{id}");
    // MTI, fields, and whether they name the same transaction.
    let table: &[(u16, &Values<'_>, bool)] = &[
        (100, &[(15, "1206"), (63, "MRW0110NZ   ")], true),
        (420, own, true),
        (420, &[(48, "R6315MRW0110NZ1206  ")], true),
        (420, &[(48, "6313MRW0110NZ1206")], true),
        // What is named goes before the reversal's own id.
        (420, &[(48, "R6313MRW0110NZ1206"), (15, "1207"), (63, "MRW0110XX")], true),
        (100, &[(48, "R6313MRW0110NZ1206")], true),
        // A series names its first; a new request of it is another transaction.
        (100, &[(48, "R6313MRW0110NZ1206"), (15, "1207"), (63, "MRW0110XX")], false),
        // An increment is not.
        (100, &[(48, "R6313MRW0110NZ1206"), (15, "1207"), (61, "0000004000"), (63, "MRW0110XX")], true),
        (420, &[(15, "1207"), (63, "MRW0110NZ")], false),
        (420, &[(48, "R6313MRW0110NY1206")], false),
    ];
    for (mti, changes, same) in table {
        assert_eq!(reference(*mti, changes) == id, *same, "{mti} {changes:?}");
    }
    let nameless: &[&Values<'_>] =
        &[&[(63, "MRW0110NZ")], &[(15, "1206")], &[(48, "R6315               ")], &[]];
    for absent in nameless {
        assert_eq!(reference(420, absent), 0, "{absent:?}");
    }
    let long = reference(100, &[(15, "1206"), (63, "MRW0110NZ012")]);
    assert!(long >> 63 == 1 && long != reference(100, &[(15, "1206"), (63, "MRW0110NZ013")]));
}

#[test]
fn r16_account_verification_is_told_by_the_network_not_by_a_zero_amount() {
    let zero = (4, "000000000000");
    let table: &[(&str, &Values<'_>, TransactionKind)] = &[
        ("visa", &[zero, (25, "51")], TransactionKind::AccountVerification),
        ("visa", &[zero, (25, "00")], TransactionKind::Purchase),
        ("visa", &[zero], TransactionKind::Purchase),
        ("visa", &[(25, "51")], TransactionKind::Purchase),
        ("visa", &[zero, (63, "A0000000023700")], TransactionKind::TokenRequest),
        ("visa", &[(63, "A0000000023760")], TransactionKind::TokenRequest),
        ("visa", &[(63, "A0000000023900")], TransactionKind::Purchase),
        ("visa", &[(63, "8000000002")], TransactionKind::Purchase),
        ("mastercard", &[zero, (61, "0000008000800840902101234")], TransactionKind::AccountVerification),
        ("mastercard", &[(61, "0000008000800840902101234")], TransactionKind::Purchase),
        ("mastercard", &[zero, (61, "0000000000800840902101234")], TransactionKind::Purchase),
        ("mastercard", &[zero, (25, "51")], TransactionKind::Purchase),
        ("mastercard", &[zero, (61, "000000")], TransactionKind::Purchase),
        ("mastercard", &[zero, (61, "1 4511818")], TransactionKind::AccountVerification),
        ("mastercard", &[zero, (61, "0000009000")], TransactionKind::TokenRequest),
        ("iso87-ascii", &[zero, (25, "51")], TransactionKind::Purchase),
        ("iso87-binary", &[zero, (61, "0000008000")], TransactionKind::Purchase),
    ];
    for (name, changes, kind) in table {
        assert_eq!(authorization(&dialect(name), 100, &with(changes)).kind, *kind, "{name} {changes:?}");
    }
}

#[test]
fn r7_original_data_is_never_a_format_error() {
    let iso = dialect("iso87-ascii");
    let visa = dialect("visa");
    let right = "010012345606041234560012345678900000000000";
    for dialect in [&iso, &visa] {
        let request = reversal(dialect, 420, &with(&[(90, right), (38, "ABC123")]));
        assert!(request.advice && !request.repeat);
        assert_eq!(request.approval_code, Some(ApprovalCode(*b"ABC123")));
        let original = request.original.expect("original data");
        assert_eq!(original.class, Some(MessageClass::Authorization));
        assert_eq!(original.stan, Stan(123_456));
        assert_eq!(original.transmission.map(|time| time.digits()), Some(604_123_456));
        assert_eq!(original.acquirer, InstitutionId(123_456_789));
        let zeros = "0".repeat(42);
        let original = reversal(dialect, 400, &with(&[(90, &zeros)])).original.expect("original data");
        assert_eq!((original.class, original.transmission), (None, None));
        assert_eq!(original.acquirer, InstitutionId(0));
        let repeat = reversal(dialect, 401, PURCHASE);
        assert!(repeat.repeat && !repeat.advice && repeat.original.is_none());
    }
    let nonsense = "not a message type, and no trace number..";
    assert_eq!(reversal(&iso, 420, &with(&[(90, nonsense)])).original, None);
    let nibbles = "F".repeat(42);
    assert_eq!(reversal(&visa, 420, &with(&[(90, &nibbles)])).original, None);
}

#[test]
fn r25_an_answer_echoes_its_table_and_nothing_secret() {
    let visa = dialect("visa").with_station(123_456);
    let extra = [
        (6, "000000004600"),
        (12, "123456"),
        (19, "840"),
        (25, "00"),
        (35, "4111111111111111D29122011234567890"),
        (43, "somewhere"),
        (51, "978"),
        (52, "0102030405060708"),
        (53, "2001010100000000"),
        (55, "01000482023900"),
        (62, "4000000000000000012345678901234F"),
        (63, "8000000002"),
    ];
    let (mti, found) = answered(&visa, 101, &with(&extra), &approval());
    assert_eq!(mti, 110);
    let expected = [
        "2=4111111111111111",
        "3=000000",
        "4=000000005000",
        "6=000000004600",
        "7=0604123456",
        "11=123456",
        "19=840",
        "25=00",
        "32=12345678901",
        "37=REF123456789",
        "38=A1B2C3",
        "39=00",
        "41=TERMID01",
        "42=MERCHANT0000001",
        "49=840",
        "51=978",
        "62=4000000000000000012345678901234F",
        "63=8000000002",
    ];
    assert_eq!(found, expected);
    let iso = dialect("iso87-ascii");
    let (mti, found) =
        answered(&iso, 421, &with(&[(24, "200"), (90, &"0".repeat(42)), (37, "")]), &approval());
    assert_eq!(mti, 430);
    assert!(found.contains(&"24=200".to_owned()) && found.contains(&format!("90={}", "0".repeat(42))));
    assert!(!found.iter().any(|field| field.starts_with("37=") || field.starts_with("38=")), "{found:?}");
    assert!(!found.iter().any(|field| field.starts_with("14=")));
}

#[test]
fn r25_a_mastercard_answer_repeats_its_private_data_without_secrets() {
    let mastercard = dialect("mastercard");
    let extra = [
        (5, "000000005000"),
        (6, "000000004600"),
        (10, "61000000"),
        (15, "1207"),
        (16, "1207"),
        (22, "051"),
        (28, "D00000100"),
        (35, "4111111111111111D29122011234567890"),
        (43, "somewhere"),
        (48, "R3801Z6315MRW0110NZ1206  "),
        (51, "978"),
        (52, "0102030405060708"),
        (53, "2001010100000000"),
        (55, "82023900"),
        (61, "0000000000800840902101234"),
        (63, "MCS01106L"),
        (102, "12345"),
        (127, "private"),
    ];
    let (mti, found) = answered(&mastercard, 101, &with(&extra), &approval());
    assert_eq!(mti, 110);
    let expected = [
        "2=4111111111111111",
        "3=000000",
        "4=000000005000",
        "5=000000005000",
        "6=000000004600",
        "7=0604123456",
        "10=61000000",
        "11=123456",
        "15=1207",
        "16=1207",
        "28=D00000100",
        "32=12345678901",
        "37=REF123456789",
        "38=A1B2C3",
        "39=00",
        "41=TERMID01",
        "48=R3801Z6315MRW0110NZ1206  ",
        "49=840",
        "51=978",
        "63=MCS01106L",
        "102=12345",
        "127=private",
    ];
    assert_eq!(found, expected);
    let zeros = "0".repeat(42);
    for (mti, answer) in [(400, 410), (420, 430)] {
        let reversal = with(&[(48, "R6313MRW0110NZ1206"), (90, &zeros), (95, &zeros)]);
        let (found_mti, found) = answered(&mastercard, mti, &reversal, &approval());
        assert_eq!(found_mti, answer);
        for field in [format!("90={zeros}"), format!("95={zeros}"), "48=R6313MRW0110NZ1206".to_owned()] {
            assert!(found.contains(&field), "{field} in {found:?}");
        }
    }
    // DE 48 as it came, and as it goes back; none where nothing is left.
    let table: &[(&str, Option<&str>)] = &[
        ("R", Some("R")),
        ("R3801Z", Some("R3801Z")),
        ("3801Z", Some("3801Z")),
        ("R9203123", Some("R8701P")),
        ("9203123", Some("8701P")),
        ("R92009203123", Some("R8701P")),
        ("P6313MWB39479908228701M9203000", Some("P6313MWB39479908228701P")),
        ("R3801Z92031239501X", Some("R3801Z8701P9501X")),
        ("R8701M", Some("R")),
        ("8701M", None),
        ("R1016ABCDEFGHIJKLMNOP1104KEYS", Some("R")),
        ("R33250102C 02164111111111111111", Some("R")),
        ("T4328jJJLtQa+Iws8AREAEbjsA1MAAAA=4203212", Some("T4203212")),
        // What stands behind something unreadable may be anything.
        ("R3801Z93X59203123", Some("R3801Z")),
        ("R3801Z9203", Some("R3801Z")),
        ("9299123", None),
    ];
    for (came, goes) in table {
        let (_, found) = answered(&mastercard, 100, &with(&[(48, came), (127, "after")]), &approval());
        let private = found.iter().find_map(|field| field.strip_prefix("48="));
        assert_eq!(private, *goes, "{came}");
        assert_eq!(found.last().map(String::as_str), Some("127=after"), "{came}");
    }
    // A reversal verifies nothing, and its answer says nothing about it.
    let (_, found) = answered(&mastercard, 400, &with(&[(48, "R9203123")]), &approval());
    assert!(found.contains(&"48=R".to_owned()), "{found:?}");
    // What cannot be served is answered without secrets too.
    let found = malformed(&mastercard, 100, &with(&[(14, "2913"), (48, "R3801Z9203123")]), |_| ());
    assert!(found.is_some_and(|found| found.contains(&"48=R3801Z".to_owned())));
    let mut out = Vec::new();
    let request = frame(&mastercard, 100, &with(&[(48, "R3801Z1104KEYS")]));
    let mut spans = Spans::default();
    let received = mastercard.decode(body(&mastercard, &request), context(), &mut spans).expect("a request");
    mastercard.write_refusal(&received, ActionCode::Unavailable, &mut out).expect("an answer that fits");
    assert!(fields(&mastercard, &out).1.contains(&"48=R3801Z".to_owned()));
}

#[test]
fn r25_a_visa_header_is_turned_around() {
    let visa = dialect("visa");
    let mut request = frame(&visa.clone().with_station(654_321), 100, PURCHASE);
    let header = visa.framing().prefix_bytes();
    request[header + 5..header + 8].copy_from_slice(&[0x11, 0x22, 0x33]);
    request[header + 11..header + 22].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    for (own, source) in [(None, "112233"), (Some(98_765), "098765")] {
        let visa = own.map_or_else(|| visa.clone(), |own| visa.clone().with_station(own));
        let mut spans = Spans::default();
        let received = visa.decode(body(&visa, &request), context(), &mut spans).expect("a right request");
        let mut out = Vec::new();
        visa.write_answer(&received, &approval(), &mut out).expect("an answer that fits");
        let answer = body(&visa, &out);
        let length = format!("{:04X}", answer.len());
        let expected = format!("160102{length}654321{source}0102030405060708090A0B");
        assert_eq!(hex_text(&answer[..22]), expected);
    }
}

#[test]
fn r8_only_approvals_of_requests_carry_an_approval_code() {
    let declined = Answer { action: ActionCode::InsufficientFunds, ..approval() };
    let table = [
        (100, approval(), "38=A1B2C3", true, "39=00"),
        (200, approval(), "38=A1B2C3", true, "39=00"),
        (100, declined, "38=A1B2C3", false, "39=51"),
        (400, approval(), "38=A1B2C3", false, "39=00"),
        (420, approval(), "38=A1B2C3", false, "39=00"),
    ];
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for (mti, answer, code, there, outcome) in table {
            let (_, found) = answered(&dialect, mti, PURCHASE, &answer);
            assert_eq!(found.contains(&code.to_owned()), there, "{name} {mti}");
            assert!(found.contains(&outcome.to_owned()), "{name} {mti}");
        }
    }
}

#[test]
fn r12_a_partial_approval_replaces_the_amounts_and_names_the_original() {
    let partial = PartialApproval { amount: usd(3000), billing: usd(2760), original: usd(5000) };
    let answer = Answer { action: ActionCode::ApprovedPartially, partial: Some(partial), ..approval() };
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        let (_, found) = answered(&dialect, 100, &with(&[(6, "000000004600"), (51, "840")]), &answer);
        for field in ["4=000000003000", "6=000000002760", "39=10", "54=0057840D000000005000"] {
            assert!(found.contains(&field.to_owned()), "{name}: {field} in {found:?}");
        }
        let (_, found) = answered(&dialect, 100, &with(&[(5, "000000004999")]), &answer);
        let echoed = (name != "visa").then(|| "5=000000002999".to_owned());
        assert_eq!(found.iter().find(|field| field.starts_with("5=")), echoed.as_ref(), "{name}");
        let (_, found) = answered(&dialect, 100, PURCHASE, &answer);
        assert!(found.contains(&"4=000000003000".to_owned()));
        assert!(!found.iter().any(|field| field.starts_with("6=")), "no field that the request had not");
    }
}

#[test]
fn a_balance_inquiry_is_answered_with_both_balances() {
    let balances = Balances { ledger: -1250, available: 99, currency: Currency::new(978).expect("euro") };
    let answer = Answer { balances: Some(balances), ..approval() };
    for name in Dialect::built_in_names() {
        let values = with(&[(3, "302000"), (4, ""), (49, "")]);
        let (_, found) = answered(&dialect(name), 100, &values, &answer);
        let expected = "54=2001978D0000000012502002978C000000000099".to_owned();
        assert!(found.contains(&expected), "{name}: {found:?}");
    }
}

#[test]
fn r28_a_cvv2_that_came_is_said_not_to_be_processed() {
    let visa = dialect("visa");
    let cvv2 = (126, "0040000000000000F1F1F0F1F2F3");
    let (_, found) = answered(&visa, 100, &with(&[cvv2]), &approval());
    assert!(found.contains(&"44=          P".to_owned()), "{found:?}");
    let behind_a_name = format!("8040000000000000{}F1F1F0F1F2F3", "40".repeat(25));
    let (_, found) = answered(&visa, 100, &with(&[(126, &behind_a_name)]), &approval());
    assert!(found.contains(&"44=          P".to_owned()), "{found:?}");
    let (_, found) = answered(&visa, 100, PURCHASE, &approval());
    assert!(!found.iter().any(|field| field.starts_with("44=")));
    // A CAVV alone, and both: 126.9 and 126.10.
    let cavv = "00".repeat(20);
    for (bitmap, cvv2, expected) in
        [("0080", "", "              6"), ("00C0", "F1F1F0F1F2F3", "          P   6")]
    {
        let content = format!("{bitmap}000000000000{cavv}{cvv2}");
        let (_, found) = answered(&visa, 100, &with(&[(126, &content)]), &approval());
        assert!(found.contains(&format!("44={expected}")), "{found:?}");
    }
    let mastercard = dialect("mastercard");
    let (_, found) = answered(&mastercard, 100, &with(&[(48, "R9203123")]), &approval());
    assert!(found.contains(&"48=R8701P".to_owned()), "{found:?}");
    assert!(!found.iter().any(|field| field.starts_with("44=")));
}

#[test]
fn r28_an_address_that_came_is_said_to_be_unknown() {
    // Postal code and street as they stand alone, in a dataset, behind a dataset, and a token's dataset alone.
    let alone = "F1".repeat(29);
    let in_dataset = "66000AC005F1F2F3F4F5CF01F1";
    let behind = format!("670003010203{in_dataset}");
    let (address, both) = (Some("44= U"), Some("44= U        P"));
    let cvv2 = (126, "0040000000000000F1F1F0F1F2F3");
    let visa = dialect("visa");
    let table: [(&Values<'_>, Option<&str>); 6] = [
        (&[(123, &alone)], address),
        (&[(123, in_dataset)], address),
        (&[(123, &behind)], address),
        (&[(123, &alone), cvv2], both),
        (&[(123, "670003010203")], None),
        (&[(123, "66")], None),
    ];
    for (changes, expected) in table {
        let (_, found) = answered(&visa, 100, &with(changes), &approval());
        let told = found.iter().find(|field| field.starts_with("44=")).map(String::as_str);
        assert_eq!(told, expected, "{changes:?}");
        assert!(!found.iter().any(|field| field.starts_with("123=")), "{found:?}");
    }
    let mastercard = dialect("mastercard");
    for (private, expected) in [
        ("R820252", "R8202528301U"),
        ("R8202529203123", "R8202528301U8701P"),
        // Nothing asks for it.
        ("R8200", "R8200"),
        ("R61050000182025192031238801Y", "R6105000018202518301U8701P8801Y"),
    ] {
        let (_, found) = answered(&mastercard, 100, &with(&[(48, private)]), &approval());
        assert!(found.contains(&format!("48={expected}")), "{private}: {found:?}");
    }
    // Of an account verification the answer is the same, with a code that approves nothing.
    let verified = Answer { action: ActionCode::NoReasonToDecline, approval_code: None, ..approval() };
    let (_, found) = answered(&visa, 100, &with(&[(25, "51"), (4, "0"), (123, &alone)]), &verified);
    assert!(found.contains(&"44= U".to_owned()), "{found:?}");
    let (_, found) = answered(
        &mastercard,
        100,
        &with(&[(4, "0"), (48, "R820251"), (61, "0000008000800840902101234")]),
        &verified,
    );
    assert!(found.contains(&"48=R8202518301U".to_owned()), "{found:?}");
}

#[test]
fn r12_a_payment_that_a_merchant_starts_is_told() {
    let part = (60, "050000000001");
    let private = |more: &str| format!("T610510000{more}");
    let table: &[(&str, &Values<'_>, bool)] = &[
        ("visa", &[part], false),
        ("visa", &[part, (126, "0008000000000000D9")], true),
        ("visa", &[part, (126, "0008000000000000C9")], true),
        ("visa", &[part, (126, "0008000000000000C3")], true),
        ("visa", &[part, (126, "0008000000000000D4")], false),
        ("visa", &[part, (126, "0048000000000000F1F1F0F1F2F3D9")], true),
        ("visa", &[part, (63, "A0000000023900")], true),
        ("visa", &[part, (63, "A0000000023904")], true),
        ("visa", &[part, (63, "A0000000025206")], false),
        ("mastercard", &[(48, &private(""))], false),
        ("mastercard", &[(48, &private("22080504C101"))], false),
        ("mastercard", &[(48, &private("22080504M103"))], true),
        ("mastercard", &[(48, &private("22140102010504M205"))], true),
        ("mastercard", &[(48, &private("")), (61, "0004000000800840902101234")], true),
        ("mastercard", &[(48, &private("")), (61, "0005000000800840902101234")], false),
        ("visa", &[(126, "0008000000000000D9")], true),
    ];
    for (name, changes, expected) in table {
        let request = authorization(&dialect(name), 100, &with(changes));
        assert_eq!(request.merchant_initiated, *expected, "{name} {changes:?}");
    }
}

#[test]
fn r7_a_reversal_that_names_a_replacement_amount_is_not_a_full_one() {
    let replacement =
        |name: &str, mti: u16, changes: &Values<'_>| match inbound(&dialect(name), mti, &with(changes)) {
            Ok(Inbound::Reversal(reversal)) => Ok(reversal.replacement),
            other => Err(format!("{other:?}")),
        };
    let kept = |amount, billing| Ok(Some(Replacement { amount, billing }));
    let (zeros, blank) = ("0".repeat(42), " ".repeat(42));
    let first = format!("{:0<42}", "000000003000");
    let all = format!("{:0<42}", "000000003000000000000000000000002760");
    for name in Dialect::built_in_names() {
        for mti in [400, 401, 420, 421] {
            for full in [&zeros, &blank] {
                assert_eq!(replacement(name, mti, &[(95, full)]), Ok(None), "{name} {mti}");
            }
            assert_eq!(replacement(name, mti, &[(95, &first)]), kept(3_000, None), "{name} {mti}");
            let billing = if name == "visa" { None } else { Some(2_760) };
            assert_eq!(replacement(name, mti, &[(95, &all)]), kept(3_000, billing), "{name} {mti}");
            // What cannot be read is not taken for a full reversal.
            let strange = replacement(name, mti, &[(95, &format!("{:42}", "x"))]);
            assert!(strange.is_err_and(|error| error.contains("95")), "{name}");
        }
    }
    // Visa tells what stays in billing currency elsewhere.
    let other = format!("{:0>36}", "000000002760");
    assert_eq!(replacement("visa", 420, &[(95, &first), (61, &other)]), kept(3_000, Some(2_760)));
}

#[test]
fn r25_a_refusal_takes_over_what_the_nearest_answer_of_its_class_does() {
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        let request = frame(&dialect, 322, &with(&[(101, "FILE")]));
        let mut spans = Spans::default();
        let received =
            dialect.decode(body(&dialect, &request), context(), &mut spans).expect("a right message");
        assert_eq!(received.inbound, Inbound::Unsupported { mti: 322 });
        let mut out = Vec::new();
        dialect.write_refusal(&received, ActionCode::FunctionNotSupported, &mut out).expect("an answer");
        let (mti, found) = fields(&dialect, &out);
        assert!(mti == 332 && found.contains(&"101=FILE".to_owned()), "{name}: {mti} {found:?}");
    }
}

#[test]
fn r24_visa_carries_out_a_reversal_with_a_mistake_that_does_not_matter() {
    let visa = dialect("visa");
    let original = "010012345606041234560000012345600000000000";
    let values = with(&[(18, "5999"), (62, "40000000000000000123456789012345"), (90, original)]);
    // What is changed of the message, and whether it is a reversal or an advice all the same.
    let spoiled: [(&'static [u8], &'static [u8], bool); 5] = [
        (&[0x59, 0x99], &[0x5a, 0x99], true),
        // DE 4, DE 7, DE 11.
        (&[0x00, 0x50, 0x00, 0x06], &[0x00, 0x5a, 0x00, 0x06], false),
        (&[0x06, 0x04, 0x12, 0x34], &[0x06, 0x0f, 0x12, 0x34], false),
        (&[0x56, 0x12, 0x34, 0x56], &[0x56, 0x1a, 0x34, 0x56], false),
        // The length of DE 62: nothing behind it has a place.
        (&[0x10, 0x40, 0, 0], &[0xf0, 0x40, 0, 0], false),
    ];
    for mti in [400, 420, 421, 120, 220, 100] {
        for (old, new, carried_out) in spoiled {
            let message = frame(&visa, mti, &values);
            let mut body = body(&visa, &message).to_vec();
            replace(22, old, new)(&mut body);
            let mut spans = Spans::default();
            let found = visa.decode(&body, context(), &mut spans).map(|received| received.inbound);
            let told = matches!(found, Ok(Inbound::Reversal(_) | Inbound::Advice(_)));
            assert_eq!(told, carried_out && mti != 100, "{mti} {old:02x?}: {found:?}");
        }
    }
}

#[test]
fn r28_chip_data_that_cannot_be_read_counts_as_a_cryptogram() {
    let cryptogram = "9F26080102030405060708";
    // The content of DE 55, and whether it has a cryptogram or may have one.
    let table = [
        ("", false),
        ("82023900", false),
        ("8202390071049F180101", false),
        ("01000482023900", false),
        (cryptogram, true),
        (&format!("01000B{cryptogram}"), true),
        (&format!("010004820239006200 0B{cryptogram}").replace(' ', ""), true),
        (&format!("770B{cryptogram}"), true),
        (&format!("01000D770B{cryptogram}"), true),
        (&format!("E10FE20DE30B{cryptogram}"), true),
        // Cut off, with a length that is wrong, and too deep to look.
        ("820239009F2608010203", true),
        ("0100FF82023900", true),
        ("770482029900FF", true),
        ("E10AE208E306E404E5028200", true),
    ];
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for (content, expected) in table {
            let request = authorization(&dialect, 100, &with(&[(55, &format!("{content:0<2}"))]));
            let found = request.presented == Presented::CRYPTOGRAM;
            assert_eq!(found, expected, "{name}: {content}");
        }
    }
    let visa =
        authorization(&dialect("visa"), 100, &with(&[(55, "01000482023900"), (136, "0102030405060708")]));
    assert_eq!(visa.presented, Presented::CRYPTOGRAM);
}

#[test]
fn a_description_shows_parts_of_parts_and_hides_the_secret_ones() {
    let mastercard = dialect("mastercard");
    let private =
        format!("R1016KEYKEYKEYKEYKEYK33330101C0216{PAN}03042912610510001{}", "4304UCAF710450C 9203987");
    let shown = |values: &Values<'_>| describe(&mastercard, &frame(&mastercard, 100, &with(values)));
    let text = shown(&[
        (48, &private),
        (54, "0057840D0000000050000002840C000000000099"),
        (56, "013301295001LWDDOISMJL2B7WPLSBBWHOFLV"),
        (61, "0000004000800840902101234"),
        (112, "0010042102999002ZZ"),
    ]);
    for line in [
        "48.lead Lead: R",
        "48.10 Encrypted PIN block key: (16 bytes, not shown)",
        "48.33.1 Account number indicator: C",
        "48.33.2 Account number: 411111******1111",
        "48.61.1 Partial approval: 1",
        "48.61.5 Final authorization: 1",
        "48.43 Universal cardholder authentication field: (4 bytes, not shown)",
        "48.71.1 Service: 50",
        "48.92 CVC 2: (3 bytes, not shown)",
        "54.4 Amount: D000000005000",
        "54.4 Amount: C000000000099",
        "56.1.1 Payment account reference: 5001LWDDOISMJL2B7WPLSBBWHOFLV",
        "61.7 Transaction status: 4",
        "112.1 Installment payment data: 2102",
        "112.999: ZZ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Not readable to its end, or without an id: nothing of a code or a card number is seen.
    for private in ["R92031", "R3336xx02164111111111111111", "R987 4111111111111111"] {
        let text = shown(&[(48, private)]);
        assert!(text.contains("Unreadable: (") && !text.contains(PAN), "{private}: {text}");
        let text = text.replace("ISO 8583:1987", "");
        assert!(!text.contains("987") && !text.contains("031"), "{private}: {text}");
    }
    let table = include_str!("../src/dialect/tables/mastercard.toml");
    let undivided =
        table.replace("id_digits = 2\nlength_digits = 2\nlead = 1", "id_digits = 3\nlength_digits = 2");
    let undivided = Dialect::from_toml("mine.toml", &undivided).expect("a table");
    let text = describe(&undivided, &frame(&undivided, 100, &with(&[(48, "R9203987")])));
    assert!(text.contains("DE 48 Additional data, private: (8 bytes, not shown)"), "{text}");
}

/// The request with some bytes of its message replaced, and the answer to it.
fn malformed(
    dialect: &Dialect,
    mti: u16,
    values: &Values<'_>,
    spoil: impl Fn(&mut Vec<u8>),
) -> Option<Vec<String>> {
    let request = frame(dialect, mti, values);
    let mut body = body(dialect, &request).to_vec();
    spoil(&mut body);
    let mut spans = Spans::default();
    let malformed = dialect.decode(&body, context(), &mut spans).err().expect("a malformed request");
    let mut out = Vec::new();
    if !dialect.write_malformed(&malformed, &mut out) {
        assert!(out.is_empty());
        return None;
    }
    Some(fields(dialect, &out).1)
}

/// Puts a byte in the place of the first one that has this value after `from`.
fn replace(from: usize, old: &'static [u8], new: &'static [u8]) -> impl Fn(&mut Vec<u8>) {
    move |body| {
        let found = body[from..].windows(old.len()).position(|window| window == old);
        let at = from + found.expect("the bytes to replace");
        body[at..at + new.len()].copy_from_slice(new);
    }
}

#[test]
fn r24_visa_declines_what_it_can_echo_and_is_silent_otherwise() {
    let visa = dialect("visa");
    // A letter in DE 18, which no answer echoes: declined 12.
    let found = malformed(&visa, 100, PURCHASE, replace(22, &[0x59, 0x99], &[0x59, 0x9a]));
    let found = found.expect("an answer");
    assert!(found.contains(&"39=12".to_owned()) && found.contains(&"11=123456".to_owned()), "{found:?}");
    assert!(!found.iter().any(|field| field.starts_with("44=")));
    // A date that is none: everything is readable.
    assert!(malformed(&visa, 100, &with(&[(7, "1331123456")]), |_| ()).is_some());
    // Letters in DE 4, which an answer must echo.
    let spoil = replace(22, &[0, 0, 0, 0, 0x50, 0x00], &[0, 0, 0, 0, 0x5b, 0x00]);
    assert_eq!(malformed(&visa, 100, &with(&[(3, "111111")]), spoil), None);
    // Cut off before DE 49, bytes too many, no header.
    assert_eq!(malformed(&visa, 100, PURCHASE, |body| body.truncate(body.len() - 1)), None);
    assert!(malformed(&visa, 100, PURCHASE, |body| body.push(0)).is_some());
    assert_eq!(malformed(&visa, 100, PURCHASE, |body| body.truncate(10)), None);
    // Answers are never answered.
    let spoil = replace(22, &[0x59, 0x99], &[0x59, 0x9a]);
    assert_eq!(malformed(&visa, 110, PURCHASE, spoil), None);
}

#[test]
fn r24_mastercard_answers_30_with_the_fields_number() {
    let mastercard = dialect("mastercard");
    // EBCDIC digits of 5999, of the length and the number of DE 32, and of DE 11.
    let (mcc, letter) = (&[0xf5, 0xf9, 0xf9, 0xf9], &[0xf5, 0xf9, 0xc1, 0xf9]);
    let table: Vec<(u16, Option<Vec<String>>, &str)> = vec![
        (100, malformed(&mastercard, 100, PURCHASE, replace(0, mcc, letter)), "018"),
        (100, malformed(&mastercard, 100, &with(&[(14, "2913")]), |_| ()), "014"),
        (400, malformed(&mastercard, 400, &with(&[(4, "")]), |_| ()), "004"),
        (420, malformed(&mastercard, 420, &with(&[(49, "")]), |_| ()), "049"),
        (100, malformed(&mastercard, 100, PURCHASE, |body| body.truncate(body.len() - 1)), "049"),
        (100, malformed(&mastercard, 100, PURCHASE, replace(0, &[0xf1, 0xf1, 0xf1, 0xf2], &[0xf9])), "032"),
        (800, malformed(&mastercard, 800, &[(7, "0604123456"), (11, "123456")], |_| ()), "070"),
    ];
    for (mti, found, field) in table {
        let found = found.expect("an answer");
        for expected in ["39=30".to_owned(), format!("44={field}"), "11=123456".to_owned()] {
            assert!(found.contains(&expected), "{mti}: {expected} in {found:?}");
        }
    }
    assert_eq!(malformed(&mastercard, 100, PURCHASE, |body| body.truncate(11)), None);
    // Answers are never answered.
    assert_eq!(malformed(&mastercard, 110, PURCHASE, |body| body.truncate(body.len() - 1)), None);
}

#[test]
fn r24_iso87_answers_30_with_the_fields_number() {
    let iso = dialect("iso87-ascii");
    let table: Vec<(u16, Option<Vec<String>>, &str)> = vec![
        (100, malformed(&iso, 100, PURCHASE, replace(0, b"5999", b"59x9")), "018"),
        (100, malformed(&iso, 100, &with(&[(14, "2913")]), |_| ()), "014"),
        (420, malformed(&iso, 420, &with(&[(4, "")]), |_| ()), "004"),
        (100, malformed(&iso, 100, PURCHASE, |body| body.truncate(body.len() - 1)), "049"),
        (100, malformed(&iso, 100, PURCHASE, replace(0, b"1112345678901", b"9912345678901")), "032"),
    ];
    for (mti, found, field) in table {
        let found = found.expect("an answer");
        for expected in ["39=30".to_owned(), format!("44={field}"), "11=123456".to_owned()] {
            assert!(found.contains(&expected), "{mti}: {expected} in {found:?}");
        }
    }
    assert_eq!(malformed(&iso, 100, PURCHASE, replace(66, b"123456", b"12345x")), None, "without DE 11");
    assert_eq!(malformed(&iso, 100, PURCHASE, |body| body.truncate(3)), None);
}

#[test]
fn r23_network_management_both_ways() {
    let table = [
        ("visa", "071", NetworkManagement::SignOn),
        ("visa", "001", NetworkManagement::SignOn),
        ("visa", "072", NetworkManagement::SignOff),
        ("visa", "301", NetworkManagement::Echo),
        ("visa", "161", NetworkManagement::KeyExchange(161)),
        ("visa", "078", NetworkManagement::StoredAdvices),
        ("visa", "999", NetworkManagement::Unsupported(999)),
        ("iso87-ascii", "001", NetworkManagement::SignOn),
        ("iso87-ascii", "301", NetworkManagement::Echo),
        ("iso87-binary", "002", NetworkManagement::SignOff),
        ("mastercard", "061", NetworkManagement::SignOn),
        ("mastercard", "001", NetworkManagement::SignOn),
        ("mastercard", "062", NetworkManagement::SignOff),
        ("mastercard", "002", NetworkManagement::SignOff),
        ("mastercard", "270", NetworkManagement::Echo),
        ("mastercard", "161", NetworkManagement::KeyExchange(161)),
        ("mastercard", "162", NetworkManagement::KeyExchange(162)),
        ("mastercard", "060", NetworkManagement::StoredAdvices),
    ];
    for (name, code, what) in table {
        let dialect = dialect(name);
        let values = [(7, "0604123456"), (11, "000077"), (37, "REF123456789"), (70, code)];
        let request = frame(&dialect, 800, &values);
        let mut spans = Spans::default();
        let received =
            dialect.decode(body(&dialect, &request), context(), &mut spans).expect("a right request");
        let Inbound::NetworkManagement(asked) = received.inbound else { panic!("{:?}", received.inbound) };
        assert_eq!((asked.what, asked.stan), (what, Stan(77)), "{name} {code}");
        let mut out = Vec::new();
        dialect.write_network_answer(&received, &asked, &mut out).expect("an answer that fits");
        let (mti, found) = fields(&dialect, &out);
        let refused = if name == "mastercard" { "96" } else { "12" };
        let served = [NetworkManagement::SignOn, NetworkManagement::SignOff, NetworkManagement::Echo];
        let outcome = if served.contains(&what) { "00" } else { refused };
        let expected =
            ["7=0604123456", "11=000077", "37=REF123456789", &format!("39={outcome}"), &format!("70={code}")];
        assert_eq!((mti, found.as_slice()), (810, expected.map(str::to_owned).as_slice()), "{name} {code}");
    }
    let now = Timestamp::from_seconds(1_795_471_200);
    let own = |what| OwnRequest { what, scope: Scope::Link, now, stan: Stan(36), stations: (128_976, 5) };
    let visa = dialect("visa");
    let mut out = Vec::new();
    visa.write_network_request(&own(NetworkManagement::SignOn), &mut out).expect("a request that fits");
    let hex = hex_text(&out);
    assert!(hex.starts_with("00440000160102004400000512897600"), "{hex}");
    let (mti, found) = fields(&visa, &out);
    let day = ["7=1123220000", "11=000036", "37=632722000036", "63=8000000002", "70=071"];
    assert_eq!((mti, found.as_slice()), (800, day.map(str::to_owned).as_slice()));
    let mut out = Vec::new();
    let iso = dialect("iso87-ascii");
    iso.write_network_request(&own(NetworkManagement::Echo), &mut out).expect("a request that fits");
    assert_eq!(fields(&iso, &out).1, ["7=1123220000", "11=000036", "70=301"]);
    let mastercard = dialect("mastercard");
    for (what, code) in [
        (NetworkManagement::SignOn, "70=061"),
        (NetworkManagement::SignOff, "70=062"),
        (NetworkManagement::Echo, "70=270"),
        (NetworkManagement::Unsupported(60), "70=060"),
    ] {
        let mut out = Vec::new();
        mastercard.write_network_request(&own(what), &mut out).expect("a request that fits");
        assert_eq!(fields(&mastercard, &out).1, ["7=1123220000", "11=000036", code]);
    }
}

#[test]
fn unknown_elements_are_told_by_their_path() {
    // A field and its content in hex, and the paths of what the table does not have.
    let visa: &[(u8, &str, &[&str])] = &[
        (55, "01000F820239009F26081122334455667788", &[]),
        (55, "0100059F51021122", &["DE55.9F51"]),
        (55, "05000482023900", &["DE55.05"]),
        (104, "77000480020102", &["DE104.77"]),
        (104, "56000480020102", &[]),
        (55, "010008DF81010100D30101020003840100", &["DE55.02", "DE55.DF8101", "DE55.D3"]),
        (55, "0100039F5102", &[]),
        (55, "01000582023900820100078202390082020001000D00009F2681000082028200023900", &[]),
        (55, "0100059A0120010301010007BF0C039F5101", &[]),
        (62, "C000000000000000E8123456789012345F", &[]),
        (62, "4000000400000001123456789012345F", &["DE62.30", "DE62.64"]),
        (63, "8000000002", &[]),
        (60, "050000", &[]),
    ];
    let iso87: &[(u8, &str, &[&str])] = &[
        (55, "820239009F26081122334455667788", &[]),
        (55, "9F5102112282023900FF7F0101", &["DE55.9F51", "DE55.FF7F"]),
        (48, "9F51021122", &[]),
    ];
    // DE 48 in EBCDIC: category T, elements 96 and 97, which have no row, and 77, which has one.
    let mastercard: &[(u8, &str, &[&str])] = &[
        (48, "E3F9F6F0F2C1C2F7F7F0F3C3F0F7F9F7F0F1C1", &["DE48.96", "DE48.97"]),
        // SE 33 with its parts 1 and 99.
        (48, "E3F3F3F1F0F0F1F0F1C3F9F9F0F1C1", &["DE48.33.99"]),
        (55, "9F5102112282023900", &["DE55.9F51"]),
    ];
    for (name, table) in [("visa", visa), ("iso87-ascii", iso87), ("mastercard", mastercard)] {
        let dialect = dialect(name);
        for (field, hex, expected) in table {
            let content = hex_bytes(hex.as_bytes()).expect("hex");
            // An answer, which may have any fields.
            let values: [(u8, Value<'_>); 2] = [(11, "000001".into()), (*field, content[..].into())];
            let mut frame = Vec::new();
            assert!(dialect.compose(110, &values, &mut frame).is_ok(), "{name} {field} {hex}");
            let mut spans = Spans::default();
            let Ok(received) = dialect.decode(body(&dialect, &frame), context(), &mut spans) else {
                panic!("{name} {field} {hex} cannot be read")
            };
            let view = received.view;
            let mut found = Vec::new();
            dialect.unknown_elements(&view, |path| found.push(path.to_string()));
            assert_eq!(received.strange, !expected.is_empty(), "{name} {field} {hex}");
            assert_eq!(found, *expected, "{name} {field} {hex}");
            let again: Vec<u8> = view.content(*field).expect("the field").to_vec();
            assert_eq!(again, content, "it is kept as it came");
        }
    }
    let text = include_str!("../src/dialect/tables/visa.toml");
    for (wrong, finding) in
        [("2 = \"82\"", "no"), ("55 = \"8G\"", "is no tag"), ("62 = \"82\"", "does not name")]
    {
        let text = format!("{}[known_tags]\n{wrong}\n", text.split("[known_tags]").next().expect("a table"));
        let findings = Dialect::from_toml("mine.toml", &text).expect_err("it is refused");
        assert!(findings[0].message.contains(finding), "{}", findings[0]);
    }
}

#[test]
fn a_reject_is_told_apart_from_an_answer() {
    let visa = dialect("visa");
    let answer = frame(&visa, 110, PURCHASE);
    let rejected = body(&visa, &answer);
    let mut reject = vec![0x1a, 1, 2, 0, 0];
    reject.resize(22, 0);
    reject.extend([0x80, 0, 0x12, 0x34]);
    for (rest, mti, stan) in
        [(rejected, 110, Some(Stan(123_456))), (&rejected[..30], 110, None), (&[], 0, None)]
    {
        let bytes = [&reject, rest].concat();
        let mut spans = Spans::default();
        let received = visa.decode(&bytes, context(), &mut spans).expect("a reject");
        let Inbound::Reject(found) = received.inbound else { panic!("{:?}", received.inbound) };
        assert_eq!((found.code, found.mti, found.stan), (Some(1234), mti, stan));
    }
    let mut spans = Spans::default();
    let received = visa.decode(rejected, context(), &mut spans).expect("an answer");
    let Inbound::Response(found) = received.inbound else { panic!("{:?}", received.inbound) };
    assert_eq!((found.mti, found.stan), (110, Stan(123_456)));
    for mti in [302, 600, 2100] {
        let unserved = inbound(&visa, mti, PURCHASE);
        assert_eq!(unserved, Ok(Inbound::Unsupported { mti }));
    }
}

#[test]
fn a_table_with_mistakes_is_refused_with_their_places() {
    let right = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let changed = |from: &str, to: &str| {
        assert!(right.contains(from), "{from}");
        right.replacen(from, to, 1)
    };
    let table = [
        (changed("3 = { format = \"n6\"", "2 = { format = \"n6\""), "duplicate"),
        (
            changed("format = \"n..19\"", "format = \"n..19\", prefix = \"ascii1\""),
            "a length of \"ascii1\" cannot say 19",
        ),
        (changed("format = \"n..19\"", "format = \"q..19\""), "no format"),
        (changed("format = \"n6\"", "format = \"n0\""), "no format"),
        (changed("format = \"n6\"", "format = \"n6\", encoding = \"morse\""), "must be one of ascii"),
        (
            changed("format = \"n6\"", "format = \"n6\", encoding = \"binary\""),
            "cannot be written in this encoding",
        ),
        (changed("mti = \"ascii\"", "mti = \"latin\""), "encoding.mti"),
        (changed("mapping = \"iso87\"", "mapping = \"amex\""), "must be one of visa, mastercard, iso87"),
        (changed("refused = \"12\"", "refused = \"no\u{e4}\""), "`network_management.refused` must be two"),
        (changed("form = \"tags\"", "form = \"tagged\""), "`id_digits` and `length_digits` go with"),
        (changed("form = \"tags\"", "form = \"tags\"\nlead = 1"), "`id_digits` and `length_digits` go with"),
        (changed("form = \"tags\"", "form = \"tags\"\nwithheld = [1]"), "`withheld` goes with"),
        (changed("form = \"tags\"", "form = \"tags\"\nbitmap_bytes = 1"), "`bitmap_bytes` goes with"),
        (changed("form = \"tags\"", "form = \"tags\"\nwithout_bitmap = [1]"), "`without_bitmap` goes with"),
        (
            changed("form = \"tags\"", "form = \"bitmap\"\nbitmap_bytes = 1\nwithout_bitmap = [1]"),
            "`without_bitmap` names parts of fixed length",
        ),
        (changed("form = \"tags\"", "form = \"heap\""), "`form` must be one of bitmap"),
        (
            changed(
                "5 = { format = \"n11\", name = \"Original f",
                "65 = { format = \"n11\", name = \"Original f",
            ),
            "no number of",
        ),
        (
            changed(
                "5 = { format = \"n11\", name = \"Original f",
                "04 = { format = \"n11\", name = \"Original f",
            ),
            "is there already",
        ),
        (changed("sign_on = [1, 71]", "sign_on = []"), "at least one code"),
        (changed("unknown-card = \"14\"\n", ""), "`response_codes.unknown-card` is missing"),
        (changed("0810 = [7, ", "0810 = [52, 7, "), "must not echo field 52"),
        (
            changed("format = \"n10\", name = \"Original t", "format = \"n33\", name = \"Original t"),
            "part 3 ends at 43",
        ),
        (
            changed("4 = { format = \"x13\"", "4 = { format = \"x130\""),
            "part 4 ends at 137, and what is divided at 120",
        ),
        (changed("[subfields.55]", "[subfields.65]"), "does not name a field"),
        (changed("128 = {", "193 = {"), "is no data element"),
        (changed("128 = {", "65 = {"), "is no data element"),
        (changed("max = 8192", "max = 8192\ncolour = 1"), "unknown key"),
    ];
    for (text, expected) in &table {
        let findings = Dialect::from_toml("mine.toml", text).expect_err("a refusal");
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|finding| finding.contains(expected)), "{expected}: {found:?}");
        assert!(
            findings.iter().all(|finding| finding.line > 1 || finding.message.contains("missing")),
            "{found:?}"
        );
    }
    let private = include_str!("../src/dialect/tables/mastercard.toml");
    for (from, to) in [
        ("withheld = [10, 11, 33, 43, 83, 87, 92]", "withheld = [10, 11, 33, 43, 87]"),
        ("withheld = [10, 11, 33, 43, 83, 87, 92]\n", ""),
        ("[subfields.48", "[subfields.47"),
    ] {
        assert!(private.contains(from), "{from}");
        let text = private.replace(from, to);
        let findings = Dialect::from_toml("mine.toml", &text).expect_err("a refusal");
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|finding| finding.contains("must withhold 10, 11, 92")), "{found:?}");
    }
    let two = changed("mti = \"ascii\"", "mti = \"latin\"").replacen("format = \"n6\"", "format = \"n0\"", 1);
    assert_eq!(Dialect::from_toml("mine.toml", &two).err().map(|findings| findings.len()), Some(2));
    assert!(Dialect::from_toml("mine.toml", "").is_err());
}

#[test]
fn templates_are_shown_tag_by_tag_and_their_secrets_are_not() {
    // What DE 55 holds, what is shown of it, and what is not.
    let table: [(&str, &[&str], &[&str]); 6] = [
        (
            "7016 9F2008AABBCCDDEEFF0011 5F2004AABBCCDD 82023900",
            &["tag 70", "  tag 9F20 Track 2 discretionary data: (8 bytes, not shown)", "  tag 82", "3900"],
            &["AABBCCDD"],
        ),
        ("770C 9904AABBCCDD 9F0B03AABBCC", &["tag 99 Transaction PIN data: (4 bytes"], &["AABBCC"]),
        (
            "A50A BF0C07 9F0B04AABBCCDD",
            &["tag BF0C", "tag 9F0B Cardholder name, extended: (4 bytes"],
            &["AABBCC"],
        ),
        ("E109 E207 9F1F04AABBCCDD", &["tag E1", "tag E2", "tag 9F1F"], &["AABBCC"]),
        ("7006 9904AABBCC", &[": ("], &["AABBCC"]),
        ("700B E109 E207 E305 E403 9901AB", &["tag 70", "tag E3", "(3 bytes, not shown)"], &["9901AB"]),
    ];
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for (content, shown, hidden) in table {
            let content = content.replace(' ', "");
            let set = format!("01{:04X}{content}", content.len() / 2);
            let content = if name == "visa" { &set } else { &content };
            let text = describe(&dialect, &frame(&dialect, 100, &with(&[(55, content)])));
            for line in shown {
                assert!(text.contains(line), "{name}: {line} in {text}");
            }
            for secret in hidden {
                assert!(!text.contains(secret), "{name} shows {secret}: {text}");
            }
        }
    }
}

#[test]
fn field_34_is_hidden_where_it_is_a_card_number_and_divided_where_it_is_datasets() {
    let visa = dialect("visa");
    let text = describe(&visa, &frame(&visa, 100, &with(&[(34, "4A000582033900019F0B02ABCD")])));
    assert!(text.contains("DE 34 Electronic commerce data\n") && text.contains("34.4A Dataset"), "{text}");
    for name in ["mastercard", "iso87-ascii", "iso87-binary"] {
        let dialect = dialect(name);
        let text = describe(&dialect, &frame(&dialect, 100, &with(&[(34, "59990123456789")])));
        assert!(text.contains("DE 34 PAN extended: (14 bytes, not shown)"), "{name}: {text}");
    }
}

#[test]
fn parts_that_the_table_calls_secret_are_never_shown() {
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let parts = "[subfields.48]\nform = \"tagged\"\nid_digits = 2\nlength_digits = 2\n\
        7 = { format = \"ans..99\", name = \"Key\", secret = true }\n8 = { format = \"ans..99\" }\n\
        [subfields.60]\nform = \"positional\"\n1 = { format = \"an4\", name = \"Open\" }\n\
        2 = { format = \"an6\", name = \"Code\", secret = true }\n\n[known_tags]";
    let dialect =
        Dialect::from_toml("mine.toml", &table.replace("[known_tags]", parts)).expect("a right table");
    let text = describe(
        &dialect,
        &frame(&dialect, 100, &with(&[(48, "0706SECRET0804open"), (60, "openSECRETrest")])),
    );
    for line in [
        "48.7 Key: (6 bytes, not shown)",
        "48.8: open",
        "60.1 Open: open",
        "60.2 Code: (6 bytes, not shown)",
        "60.rest: rest",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("SECRET"), "{text}");
}

/// Rows that cannot hold what their field is for, each refused at its own line and at the format's column.
#[test]
fn a_field_that_could_not_hold_its_meaning_is_refused() {
    let table = [
        (2, "n..3", "field 2 must be n..16 or longer"),
        (2, "an..19", "field 2 must be n..16"),
        (3, "n4", "field 3 must be n6"),
        (4, "n1", "field 4 must be n12"),
        (4, "an12", "field 4 must be n12"),
        (6, "n20", "field 6 must be n12"),
        (7, "n4", "field 7 must be n10"),
        (11, "b3", "field 11 must be n6"),
        (11, "n2", "field 11 must be n6"),
        (11, "n..6", "field 11 must be n6"),
        (14, "n6", "field 14 must be n4"),
        (37, "an6", "field 37 must be an12"),
        (38, "an2", "field 38 must be an6"),
        (38, "n6", "field 38 must be an6"),
        (39, "b2", "field 39 must be an2"),
        (39, "an1", "field 39 must be an2"),
        (39, "an5", "field 39 must be an2"),
        (44, "ans..2", "field 44 must be ans..3"),
        (49, "b1", "field 49 must be n3 or an3"),
        (54, "ans..20", "field 54 must be ans..40"),
        (70, "n1", "field 70 must be n3"),
        (90, "n40", "field 90 must be n42"),
    ];
    for name in Dialect::built_in_names() {
        let path = format!("{}/src/dialect/tables/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let right = std::fs::read_to_string(&path).expect("a table");
        let rows = right.lines().position(|line| line == "[fields]").expect("rows");
        for (field, format, expected) in table {
            let start = format!("{field} = {{ format = \"");
            let mut lines: Vec<String> = right.lines().map(str::to_owned).collect();
            let at = rows + lines[rows..].iter().position(|line| line.starts_with(&start)).expect("the row");
            let (_, rest) = lines[at][start.len()..].split_once('"').expect("a format");
            lines[at] = format!("{start}{format}\"{rest}");
            let findings = Dialect::from_toml("mine.toml", &lines.join("\n")).expect_err("a refusal");
            let found =
                findings.iter().find(|finding| finding.line == at + 1).expect("a finding at its line");
            let expected =
                if name == "visa" { expected.replace("ans..3", "ans..15") } else { expected.to_owned() };
            assert!(found.message.contains(&expected), "{name} {field}: {found}");
            assert_eq!(found.column, start.len(), "{name} {field}: {found}");
        }
    }
}

#[test]
fn r25_no_table_may_take_over_what_never_goes_back() {
    for name in Dialect::built_in_names() {
        let path = format!("{}/src/dialect/tables/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let right = std::fs::read_to_string(&path).expect("a table");
        let always = [14, 35, 36, 45, 52, 53, 55, 64, 96, 125, 128, 136, 139, 140, 152];
        let visa = [126].into_iter().filter(|_| name == "visa");
        for field in always.into_iter().chain(visa) {
            for mti in ["0110", "0410", "0810"] {
                let text = right.replacen(&format!("{mti} = ["), &format!("{mti} = [{field}, "), 1);
                let findings = Dialect::from_toml("mine.toml", &text).expect_err("a refusal");
                let lacks = format!("`responses.{mti}` names field {field}, which the table lacks");
                let refused = format!("`responses.{mti}` must not echo field {field}");
                assert!(
                    [lacks, refused].contains(&findings[0].message),
                    "{name} {mti} {field}: {findings:?}"
                );
            }
        }
    }
}

#[test]
fn a_description_never_shows_a_card_number() {
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        let visa = name == "visa";
        let ebcdic: String = PAN.chars().map(|digit| format!("F{digit}")).collect();
        let chip = format!("5A08{PAN}9F02060000000050005710{PAN}D2912201123456F");
        let chip = if visa { format!("01{:04X}{chip}", chip.len() / 2) } else { chip };
        let chip = if chip.len() % 2 == 0 { chip } else { chip.replace("123456F", "12345F") };
        let free = format!("card {PAN}, and 16{PAN}");
        let values = [
            (2, PAN),
            (11, "123456"),
            (35, "4111111111111111D29122011234567890"),
            (43, "name"),
            (45, "B4111111111111111^NAME^2912"),
            (48, &free),
            (52, "0102030405060708"),
            (55, &chip),
            (if visa { 127 } else { 102 }, if visa { &ebcdic } else { PAN }),
        ];
        let frame = frame(&dialect, 100, &values);
        for bytes in [frame.as_slice(), body(&dialect, &frame)] {
            let text = describe(&dialect, bytes);
            assert!(text.contains("411111******1111"), "{text}");
            assert!(text.contains("DE 11 System trace audit number: 123456"), "{text}");
            for secret in [PAN, ebcdic.as_str(), "0102030405060708", "^NAME^", "D2912201"] {
                assert!(!text.contains(secret), "{name} shows {secret}: {text}");
            }
        }
        // The same cut off anywhere.
        for end in 0..frame.len() {
            let text = describe(&dialect, &frame[..end]);
            assert!(!text.contains(PAN) && !text.contains(&ebcdic), "{name}: {text}");
        }
    }
}
