//! The messages that traffic has, and what each network writes in them.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::iso8583::value::Value;

/// Visa's DE 63 with the network identification code (63.1 = 0002).
const VISA_NETWORK: &[u8] = &[0x80, 0, 0, 0, 0x02];
/// The same of an increment (63.3 = 3900), of the end at a pump (63.3 = 2104), and of what was decided elsewhere
/// (63.4).
const VISA_INCREMENT: &[u8] = &[0xa0, 0, 0, 0, 0x02, 0x39, 0x00];
const VISA_PUMP_END: &[u8] = &[0xa0, 0, 0, 0, 0x02, 0x21, 0x04];
const VISA_STAND_IN: &[u8] = &[0x90, 0, 0, 0, 0x02, 0x90, 0x20];
/// Visa's DE 62 with the transaction identifier (62.2) only.
const VISA_TRANSACTION_ID: &[u8] = &[0x40, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
/// Where 62.2 begins in it.
pub(super) const TRANSACTION_ID_AT: usize = 8;
/// Visa's DE 60 of a terminal that takes a part of the amount (60.10 = 1), and of an estimated amount (60.10 = 2).
const VISA_PARTIAL: &[u8] = &[0x05, 0, 0, 0, 0, 0x01];
const VISA_ESTIMATED: &[u8] = &[0x05, 0, 0, 0, 0, 0x02];
/// Visa's DE 61: three amounts of twelve digits, two in a byte, and where the third begins.
const VISA_OTHER_AMOUNTS: &[u8] = &[0; 18];
pub(super) const OTHER_AMOUNT_AT: usize = 12;
/// Mastercard's DE 63: a network code of three characters, then a reference of six.
const MASTERCARD_NETWORK: &str = "MCC000000";
/// Where the reference begins in it, and in a trace id.
pub(super) const REFERENCE_AT: usize = 3;
/// Mastercard's DE 48 of a retail sale; at a terminal that takes a part of the amount, and of a final amount (SE 61).
const MASTERCARD_RETAIL: &str = "R";
const MASTERCARD_PARTIAL: &str = "R610510000";
const MASTERCARD_FINAL: &str = "R610500001";
/// Mastercard's DE 48 of what follows: the trace id of the original (SE 63), which is its DE 63 and its DE 15.
const MASTERCARD_TRACE: &str = "R6315MCC0000000101  ";
/// Where the trace id begins in it.
pub(super) const TRACE_AT: usize = 5;
/// Mastercard's DE 61: attended, present, a normal request, one for the account's status (subfield 7 = 8), or a
/// preauthorization (4).
const MASTERCARD_POINT_OF_SERVICE: &str = "0000000000800840902101234";
const MASTERCARD_STATUS_INQUIRY: &str = "0000008000800840902101234";
const MASTERCARD_PREAUTHORIZATION: &str = "0000004000800840902101234";
/// Mastercard's DE 60: the end at a pump, and what was decided in the issuer's place.
const MASTERCARD_PUMP_END: &str = "1910000";
const MASTERCARD_STAND_IN: &str = "1000000";
/// DE 54: cash (type 40) in the transaction's currency, a debit.
const CASH: &str = "0040840D000000000000";
/// DE 95 with no amounts.
const REPLACEMENT: &str = "000000000000000000000000000000000000000000";

/// Which composed frame a message is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Form {
    Purchase,
    Cash,
    Sale,
    Partial,
    Inquiry,
    Verification,
    Echo,
    SignOn,
    SignOff,
    Reversal,
    ReversalWithCode,
    Advice,
    AdviceWithCode,
    /// 0100 and 0200 with any DE 3.
    AnyPurchase,
    AnySale,
    Estimated,
    Final,
    CashBack,
    Increment,
    StandIn,
    StandInAlone,
    StandInDecline,
    PumpEnd,
    Completion,
    CompletionAlone,
    Cut,
    /// 0120 that declined what was never asked for, and 0220 of what was decided about a 0200.
    StandInDeclineAlone,
    SaleStandIn,
    SaleStandInDecline,
    SaleStandInAlone,
    SaleStandInDeclineAlone,
}

impl Form {
    pub(super) const ALL: [Self; 31] = [
        Self::Purchase,
        Self::Cash,
        Self::Sale,
        Self::Partial,
        Self::Inquiry,
        Self::Verification,
        Self::Echo,
        Self::SignOn,
        Self::SignOff,
        Self::Reversal,
        Self::ReversalWithCode,
        Self::Advice,
        Self::AdviceWithCode,
        Self::AnyPurchase,
        Self::AnySale,
        Self::Estimated,
        Self::Final,
        Self::CashBack,
        Self::Increment,
        Self::StandIn,
        Self::StandInAlone,
        Self::StandInDecline,
        Self::PumpEnd,
        Self::Completion,
        Self::CompletionAlone,
        Self::Cut,
        Self::StandInDeclineAlone,
        Self::SaleStandIn,
        Self::SaleStandInDecline,
        Self::SaleStandInAlone,
        Self::SaleStandInDeclineAlone,
    ];

    pub(super) const fn mti(self) -> u16 {
        match self {
            Self::Sale | Self::AnySale => 200,
            Self::Reversal | Self::ReversalWithCode => 400,
            Self::Advice | Self::AdviceWithCode | Self::Cut => 420,
            Self::Echo | Self::SignOn | Self::SignOff => 800,
            Self::StandIn | Self::StandInAlone | Self::StandInDecline | Self::StandInDeclineAlone => 120,
            Self::PumpEnd => 120,
            Self::Completion | Self::CompletionAlone => 220,
            Self::SaleStandIn | Self::SaleStandInDecline => 220,
            Self::SaleStandInAlone | Self::SaleStandInDeclineAlone => 220,
            _ => 100,
        }
    }

    /// Tells what the network has decided by itself.
    const fn stands_in(self) -> bool {
        matches!(self.mti(), 120 | 220)
            && !matches!(self, Self::PumpEnd | Self::Completion | Self::CompletionAlone)
    }

    pub(super) const fn is_reversal(self) -> bool {
        matches!(self.mti(), 400 | 420)
    }

    /// Asks for nothing beside what every purchase has: the rest of the places need not be looked at.
    #[inline]
    pub(super) const fn is_plain(self) -> bool {
        (self as usize) < Self::Reversal as usize
    }

    /// Is about an earlier message of the purchase.
    pub(super) const fn follows(self) -> bool {
        self.is_reversal()
            || matches!(
                self,
                Self::Increment
                    | Self::StandIn
                    | Self::StandInDecline
                    | Self::PumpEnd
                    | Self::Completion
                    | Self::CompletionAlone
                    | Self::SaleStandIn
                    | Self::SaleStandInDecline
            )
    }

    const fn with_code(self) -> bool {
        matches!(self, Self::ReversalWithCode | Self::AdviceWithCode | Self::Completion)
    }

    /// Says which message it is about in DE 90: reversals, and where there is no network's id also advices.
    const fn names_original(self, mapping: Mapping) -> bool {
        let advice = self.stands_in() && self.follows() || matches!(self, Self::PumpEnd);
        self.is_reversal() || advice && matches!(mapping, Mapping::Iso87)
    }

    /// DE 39 of an advice: what was decided.
    const fn decided(self) -> Option<&'static str> {
        match self {
            Self::StandInDecline | Self::StandInDeclineAlone => Some("05"),
            Self::SaleStandInDecline | Self::SaleStandInDeclineAlone => Some("05"),
            _ if matches!(self.mti(), 120 | 220) => Some("00"),
            _ => None,
        }
    }
}

/// The values of a message of this form.
pub(super) fn values(dialect: &Dialect, form: Form) -> Vec<(u8, Value<'static>)> {
    let text = Value::Text;
    let mapping = dialect.mapping();
    if form.mti() == 800 {
        let mut values = vec![
            (7, text("0101000000")),
            (11, text("000001")),
            (37, text("000000000000")),
            (70, text(management_code(mapping, form))),
        ];
        if mapping == Mapping::Visa {
            values.insert(3, (63, Value::Bytes(VISA_NETWORK)));
        }
        return values;
    }
    let kind = match form {
        Form::Cash => "010000",
        Form::Inquiry => "300000",
        _ => "000000",
    };
    let mut values = vec![
        (2, text("4000000000000000")),
        (3, text(kind)),
        (4, text("0")),
        (7, text("0101000000")),
        (11, text("000001")),
        (12, text("000000")),
        (13, text("0101")),
        (18, text("5411")),
        (22, text(if mapping == Mapping::Visa { "0510" } else { "051" })),
        (32, text("40000000")),
        (37, text("000000000000")),
        (41, text("00000000")),
        (42, text("MERCHANT0000000")),
        (43, text("CORNER SHOP              SPRINGFIELD  US")),
        (49, text("840")),
    ];
    if form.names_original(mapping) {
        values.push((90, text("0100")));
    }
    if !form.is_reversal() {
        values.push((14, text("2912")));
    }
    if form.with_code() {
        values.push((38, text("000000")));
    }
    values.extend(form.decided().map(|code| (39, text(code))));
    match form {
        Form::CashBack => values.push((54, text(CASH))),
        Form::Cut => values.push((95, text(REPLACEMENT))),
        _ => {}
    }
    match mapping {
        Mapping::Visa => values.extend(visa_values(form)),
        Mapping::Mastercard => values.extend(mastercard_values(form)),
        Mapping::Iso87 => values.extend([(19, text("840")), (25, text("00"))]),
    }
    values.sort_by_key(|(field, _)| *field);
    values
}

/// DE 70 of a network management request.
const fn management_code(mapping: Mapping, form: Form) -> &'static str {
    match (mapping, form) {
        (Mapping::Mastercard, Form::Echo) => "270",
        (_, Form::Echo) => "301",
        (Mapping::Visa, Form::SignOn) => "071",
        (Mapping::Mastercard, Form::SignOn) => "061",
        (Mapping::Iso87, Form::SignOn) => "001",
        (Mapping::Visa, _) => "072",
        (Mapping::Mastercard, _) => "062",
        (Mapping::Iso87, _) => "002",
    }
}

/// What only Visa has.
fn visa_values(form: Form) -> Vec<(u8, Value<'static>)> {
    let condition = match form {
        Form::Verification => "51",
        Form::PumpEnd | Form::Completion | Form::CompletionAlone => "06",
        _ => "00",
    };
    let private = match form {
        Form::Increment => VISA_INCREMENT,
        Form::PumpEnd => VISA_PUMP_END,
        _ if form.stands_in() => VISA_STAND_IN,
        _ => VISA_NETWORK,
    };
    let mut values = vec![
        (19, Value::Text("840")),
        (25, Value::Text(condition)),
        (62, Value::Bytes(VISA_TRANSACTION_ID)),
        (63, Value::Bytes(private)),
    ];
    match form {
        Form::Partial => values.push((60, Value::Bytes(VISA_PARTIAL))),
        Form::Estimated => values.push((60, Value::Bytes(VISA_ESTIMATED))),
        // In the cardholder's billing currency too, which is the transaction's.
        Form::Cut => values.extend([
            (6, Value::Text("0")),
            (51, Value::Text("840")),
            (61, Value::Bytes(VISA_OTHER_AMOUNTS)),
        ]),
        _ => {}
    }
    values
}

/// What only Mastercard has.
fn mastercard_values(form: Form) -> Vec<(u8, Value<'static>)> {
    let text = Value::Text;
    let private = match form {
        Form::Partial => MASTERCARD_PARTIAL,
        Form::Final => MASTERCARD_FINAL,
        _ if form.follows() => MASTERCARD_TRACE,
        _ => MASTERCARD_RETAIL,
    };
    let status = match form {
        Form::Verification => MASTERCARD_STATUS_INQUIRY,
        Form::Estimated | Form::Increment => MASTERCARD_PREAUTHORIZATION,
        _ => MASTERCARD_POINT_OF_SERVICE,
    };
    let mut values =
        vec![(15, text("0101")), (48, text(private)), (61, text(status)), (63, text(MASTERCARD_NETWORK))];
    match form {
        Form::PumpEnd => values.push((60, text(MASTERCARD_PUMP_END))),
        _ if form.stands_in() => values.push((60, text(MASTERCARD_STAND_IN))),
        _ => {}
    }
    values
}
