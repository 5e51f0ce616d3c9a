//! The switch against naive models, by chance.

mod exchange;
mod image;
mod matching;
mod originals;
mod route;
mod stand_in;
mod trunk;

use proptest::prelude::ProptestConfig;

use crate::domain::card::Pan;
use crate::domain::forward::Carried;
use crate::domain::forward::OwnKey;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Text;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;

pub(crate) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("TURNPIKE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// A card by its number among few.
pub(crate) fn card(number: u8) -> Pan {
    Pan::from_value(5_204_740_000_001_000 + u64::from(number), 16).expect("a card number")
}

pub(crate) fn dollars(minor: i64) -> Money {
    Money::new(minor, Currency::new(840).expect("a currency"))
}

pub(crate) fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::new(978).expect("a currency"))
}

/// A second of one minute.
pub(crate) fn moment(second: u8) -> TransmissionTime {
    TransmissionTime::new(604_123_400 + u32::from(second) % 60).expect("a time")
}

pub(crate) fn own(stan: u32, second: u8) -> OwnKey {
    OwnKey { stan: Stan(stan), transmission: moment(second) }
}

/// A request of a card, named by two numbers.
pub(crate) fn carried(number: u8, stan: u32, reference: u8) -> Carried {
    Carried {
        key: MessageKey {
            network: NameId::of("visa"),
            link: NameId::of("visa-1"),
            stan: Stan(stan),
            transmission: moment(1),
            acquirer: InstitutionId(412_345),
            rrn: Text::from_ascii(format!("REF{reference:09}").as_bytes()),
            terminal: Text::from_ascii(b"TERMID01"),
            merchant: Text::from_ascii(b"MERCHANT0000001"),
            network_reference: 0,
        },
        class: MessageClass::Authorization,
        pan: card(number),
        expiry: None,
        processing_code: ProcessingCode(0),
        amount: dollars(5_000),
        billing: None,
        mcc: 5411,
        country: 840,
        entry_mode: 51,
        forwarder: InstitutionId(498_765),
    }
}
