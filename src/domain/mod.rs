//! The field's words as types: what a card, an amount, a request, an answer and an event are.
//!
//! Nothing here knows how a message looks on the wire or where it is stored. Types that carry card data
//! cannot print it: `Debug` of a [`card::Pan`] is its masked form, and there is no `Display`.

pub mod action;
pub mod answer;
pub mod asset;
pub mod card;
pub mod cleared;
pub mod clearing;
pub mod closed;
pub mod control;
pub mod day;
pub mod event;
pub mod fee;
pub mod forward;
pub mod interest;
pub mod limit;
pub mod mandate;
pub mod money;
pub mod moved;
pub mod party;
pub mod product;
pub mod request;
pub mod seal;
pub mod share;
pub mod time;
pub mod trace;
pub mod usage;
pub mod zone;
