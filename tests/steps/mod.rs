//! What happens to a purchase, step by step: what the tables of fees and of shares are made of.

use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::ReversalRequest;

use crate::purchase::House;
use crate::purchase::advice;
use crate::purchase::presentment;
use crate::purchase::reversal;

/// What happens to the house.
pub(crate) type Step = Box<dyn Fn(&mut House)>;

pub(crate) fn step(take: impl Fn(&mut House) + 'static) -> Step {
    Box::new(take)
}

pub(crate) fn reverse(stan: u32, replacement: Option<i64>) -> Step {
    step(move |house| house.reverse(&reversal(stan, replacement)))
}

pub(crate) fn reverse_sale(stan: u32, replacement: Option<i64>) -> Step {
    step(move |house| {
        let of = reversal(stan, replacement);
        let class = Some(MessageClass::Financial);
        let original = of.original.map(|original| OriginalData { class, ..original });
        house.reverse(&ReversalRequest { original, ..of });
    })
}

pub(crate) fn complete(amount: i64) -> Step {
    step(move |house| house.advise(&advice(5, MessageClass::Financial, amount)))
}

pub(crate) fn clear(amount: i64, part: Part) -> Step {
    step(move |house| house.clear(&Presentment { part, ..presentment(amount) }))
}

pub(crate) fn give_back(amount: i64) -> Step {
    step(move |house| {
        let function = Function { reversal: true, ..presentment(amount).function };
        house.clear(&Presentment { function, ..presentment(amount) });
    })
}
