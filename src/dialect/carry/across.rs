//! Between two dialects that write differently: the standard's fields by their values, private ones where they are
//! mapped.

use crate::dialect::Dialect;
use crate::dialect::answer::answered_like;
use crate::dialect::answer::response_mti;
use crate::dialect::chip;
use crate::dialect::header;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::domain::action::ActionCode;
use crate::domain::forward::OwnKey;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::TransactionKind;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::HIGHEST_FIELD;
use crate::iso8583::value::ValueError;
use crate::iso8583::view::View;

use super::Carried39;
use super::CarryError;
use super::MESSAGE_CODES;
use super::PRIVATE;
use super::convert;
use super::convert::Buffers;
use super::outcome::PURCHASE_ONLY;
use super::pin_data;
use super::repeats_chip_data;
use super::write_own;

/// Fields that mean the same everywhere. What is not here is each network's own, or of no use to another one.
const STANDARD: FieldSet = FieldSet::of(&[
    2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 25, 26, 28, 32, 33, 35, 37, 38,
    39, 41, 42, 43, 45, 49, 50, 51, 52, 53, 54, 55, 90, 95, 100, 102, 103,
]);
/// Fields without which a request means something else, or cannot be verified as whoever asks counts on.
const ESSENTIAL: FieldSet = FieldSet::of(&[2, 3, 4, 7, 11, 35, 37, 49, 52, 53, 55, 95]);
/// What an answer tells beside DE 39, where its party wrote it.
const TOLD: FieldSet = FieldSet::of(&[38, 54, 55, 102, 103]);
/// Fields of an answer without which it means something else.
const ESSENTIAL_OF_ANSWERS: FieldSet = FieldSet::of(&[4, 6, 38, 39]);
/// Amounts that a partial approval replaces.
const AMOUNTS: FieldSet = FieldSet::of(&[4, 5, 6]);

/// Where each field of the message that is written comes from.
struct Plan {
    fields: FieldSet,
    /// By the field that is written; zero for none.
    sources: [u8; HIGHEST_FIELD as usize + 1],
    /// Fields of the message that came which have no place.
    dropped: FieldSet,
}

impl Plan {
    fn of(from: &Dialect, view: &View<'_>, to: &Dialect, mappings: &[(u8, u8)]) -> Self {
        let mut plan =
            Self { fields: FieldSet::EMPTY, sources: [0; HIGHEST_FIELD as usize + 1], dropped: view.named() };
        let mut standard = STANDARD.or(MESSAGE_CODES);
        if matches!(view.mti() / 100, 4) && from.mapping != to.mapping {
            // The reason of a reversal, each network's own.
            standard.remove(39);
        }
        for field in view.fields().and(standard).iter().filter(|field| to.layout.field(*field).is_some()) {
            plan.add(field, field);
        }
        for (field, into) in mappings {
            if view.has(*field) && from.mapping_fault(*field, to, *into).is_none() {
                plan.add(*field, *into);
            }
        }
        for name in [7, 11] {
            plan.add(name, name);
        }
        plan
    }

    fn add(&mut self, field: u8, into: u8) {
        if let Some(source) = self.sources.get_mut(usize::from(into)) {
            *source = field;
            self.fields.insert(into);
            self.dropped.remove(field);
        }
    }

    fn source(&self, into: u8) -> u8 {
        self.sources.get(usize::from(into)).copied().unwrap_or(0)
    }
}

impl Dialect {
    pub(super) fn request_across(
        &self,
        asked: &Received<'_>,
        to: &Self,
        (mti, own): (u16, OwnKey),
        left_out: FieldSet,
        mappings: &[(u8, u8)],
        out: &mut Vec<u8>,
    ) -> Result<FieldSet, CarryError> {
        let view = &asked.view;
        let plan = Plan::of(self, view, to, mappings);
        let essential = ESSENTIAL.or(pin_data(self.mapping));
        if let Some(field) = plan.dropped.and(essential).iter().next() {
            return Err(CarryError::Field { field, error: ValueError::UnknownField });
        }
        let mut dropped = plan.dropped.or(left_out);
        let advice = matches!(view.mti(), 120 | 121 | 220 | 221);
        to.framed(0, to.station.unwrap_or(0), out, |out| -> Result<(), CarryError> {
            let fields = plan.fields.without(left_out);
            let mut builder = Builder::begin(&to.layout, out, mti, fields, Bitmaps::AS_NEEDED);
            let mut buffers = Buffers::new();
            for into in fields.iter() {
                let field = plan.source(into);
                let written = match into {
                    7 | 11 => write_own(own, into, &mut builder),
                    39 if advice => self.write_decision(view, to, &mut builder),
                    55 => convert::chip_data(self, view, to, &mut builder, &mut buffers),
                    _ => convert::value(self, view, (field, into), to, &mut builder, &mut buffers),
                };
                match written {
                    Ok(()) => {}
                    Err(error) if essential.has(field) => return Err(CarryError::Field { field, error }),
                    Err(_) => dropped.insert(field),
                }
            }
            builder.finish();
            Ok(())
        })?;
        Ok(dropped)
    }

    /// DE 39 of an advice, which tells what was decided.
    fn write_decision(
        &self,
        view: &View<'_>,
        to: &Self,
        builder: &mut Builder<'_>,
    ) -> Result<(), ValueError> {
        let mut code = [b' '; 2];
        let _written = view.text(39, &mut code);
        let action = self.action_towards(code, to);
        let written = if self.is_approval(code) {
            to.response_code(action.unwrap_or(ActionCode::Approved))
        } else {
            to.decline_of(code, action, false)
        };
        builder.text(39, &written)
    }

    pub(super) fn answer_across(
        &self,
        asked: &Received<'_>,
        from: &Self,
        answer: &Received<'_>,
        response: &Response,
        out: &mut Vec<u8>,
    ) -> Result<Carried39, CarryError> {
        let request = match &asked.inbound {
            Inbound::Authorization(request) => Some(request),
            _ => None,
        };
        let mut carried = from.carried(response, self);
        carried.left_out = self.without_place(answer.view.named());
        let part = if carried.approved { Part::of(request, response, &mut carried)? } else { None };
        let refund = request.is_some_and(|request| request.kind == TransactionKind::Refund);
        let code = match carried.action {
            Some(action) if carried.approved && !refund => self.response_code(action),
            Some(action) if carried.approved => self.refund_code(action),
            action => self.decline_of(carried.code, action, refund),
        };
        let told = Told { asker: self, asked, from, answer: &answer.view, code, part };
        let start = self.framing.begin(out);
        let body = header::begin_answer(self.heading(), asked.header, self.station, out);
        if let Err(error) = told.append(request.is_some(), carried.approved, out) {
            out.truncate(start);
            return Err(error);
        }
        header::finish(self.answer_header(asked.header), body, out);
        self.framing.finish(out, start)?;
        Ok(carried)
    }
}

impl Dialect {
    /// Of the elements of another dialect's answer those that have no place here: private ones, and those that this one
    /// does not have.
    fn without_place(&self, elements: FieldSet) -> FieldSet {
        let mut left_out = elements.and(PRIVATE);
        for element in elements.iter().filter(|element| self.layout.field(*element).is_none()) {
            left_out.insert(element);
        }
        left_out
    }
}

/// What a party approved of the amount that was asked for.
#[derive(Clone, Copy)]
struct Part {
    amount: u64,
    whole: u64,
}

impl Part {
    /// The part of a partial approval, if it is one. An approval without an outcome of its own gets one here.
    fn of(
        request: Option<&AuthorizationRequest>,
        response: &Response,
        carried: &mut Carried39,
    ) -> Result<Option<Self>, CarryError> {
        let action = carried.action.unwrap_or(match carried.code {
            PURCHASE_ONLY => ActionCode::ApprovedPartially,
            _ => ActionCode::Approved,
        });
        carried.action = Some(action);
        // Nothing but a request is approved for a part.
        let Some(request) = request.filter(|_| action == ActionCode::ApprovedPartially) else {
            return Ok(None);
        };
        let amount = response.amount.money().filter(|amount| amount.currency == request.amount.currency);
        let part = amount.filter(|amount| (1..=request.amount.minor).contains(&amount.minor));
        let amount = part.ok_or(CarryError::Approval)?.minor.unsigned_abs();
        Ok(Some(Self { amount, whole: request.amount.minor.unsigned_abs().max(1) }))
    }

    /// As much of another amount, rounded down.
    fn of_amount(self, amount: u64) -> u64 {
        let part = u128::from(amount) * u128::from(self.amount) / u128::from(self.whole);
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// An answer made of what is echoed from the request and what the party's answer says.
struct Told<'a> {
    asker: &'a Dialect,
    asked: &'a Received<'a>,
    from: &'a Dialect,
    answer: &'a View<'a>,
    code: [u8; 2],
    part: Option<Part>,
}

impl Told<'_> {
    fn append(&self, request: bool, approved: bool, out: &mut Vec<u8>) -> Result<(), CarryError> {
        let (asker, view) = (self.asker, &self.asked.view);
        let mti = response_mti(view.mti());
        let (mut echoed, mut guarded) = (asker.response_fields(mti).and(view.fields()), FieldSet::EMPTY);
        if !self.asked.open {
            (echoed, guarded) = asker.guard(view, echoed, &[]);
        }
        let told = self.told(request, approved);
        let replaced = if self.part.is_some() { AMOUNTS.and(echoed) } else { FieldSet::EMPTY };
        let fields = echoed.or(told);
        let mut builder = Builder::begin(&asker.layout, out, mti, fields, answered_like(view));
        let mut buffers = Buffers::new();
        for field in fields.iter() {
            let written = match field {
                39 => builder.text(39, &self.code),
                55 if told.has(55) => {
                    convert::chip_data(self.from, self.answer, asker, &mut builder, &mut buffers)
                }
                _ if told.has(field) => {
                    convert::value(self.from, self.answer, (field, field), asker, &mut builder, &mut buffers)
                }
                _ if replaced.has(field) => builder.number(field, self.amount(field)),
                _ if guarded.has(field) => asker.write_guarded(view, field, &[], &mut builder),
                _ => builder.copy(view, field),
            };
            match written {
                Err(error) if ESSENTIAL_OF_ANSWERS.has(field) => {
                    return Err(CarryError::Field { field, error });
                }
                // What else the party tells is not needed to act on its answer.
                _ => {}
            }
        }
        builder.finish();
        Ok(())
    }

    /// The fields that come from the party's answer. Answers to advices and reversals get no new ones (R25).
    fn told(&self, request: bool, approved: bool) -> FieldSet {
        let mut told = TOLD.and(self.answer.fields());
        if !approved {
            told.remove(38);
        }
        if repeats_chip_data(&self.asked.view, self.answer) || self.has_cryptogram() {
            told.remove(55);
        }
        let mut fields = FieldSet::of(&[39]);
        for field in told.iter().filter(|field| request && self.asker.layout.field(*field).is_some()) {
            fields.insert(field);
        }
        fields
    }

    /// Whether the answer has the request's chip data: only that has a cryptogram of the card's.
    fn has_cryptogram(&self) -> bool {
        let chip_data = self.from.layout.field(55).zip(self.answer.content(55));
        let form = self.from.subfields(55).map(|subfields| subfields.form);
        chip_data.is_some_and(|(spec, content)| chip::has_cryptogram(spec, form, content))
    }

    /// DE 4, DE 5 or DE 6 of a partial approval: what the party says of DE 4 and DE 6, else as much of the request's.
    fn amount(&self, field: u8) -> u64 {
        let asked = self.asked.view.number(field).unwrap_or(0);
        let part = self.part.map_or(asked, |part| part.of_amount(asked));
        let told = || self.answer.number(6).filter(|told| *told > 0 && *told <= asked);
        match field {
            4 => self.part.map_or(asked, |part| part.amount),
            6 => told().unwrap_or(part),
            _ => part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_both_the_standards_and_private() {
        assert!(STANDARD.or(MESSAGE_CODES).and(PRIVATE).is_empty());
        assert!(STANDARD.includes(ESSENTIAL));
    }
}
