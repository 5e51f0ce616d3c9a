//! Frames that were composed once, and the places in them that differ from message to message.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::answer::WriteError;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;
use crate::iso8583::spec::Encoding;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;
use crate::workload::exchange::Kind;
use crate::workload::form::Form;
use crate::workload::form::OTHER_AMOUNT_AT;
use crate::workload::form::REFERENCE_AT;
use crate::workload::form::TRACE_AT;
use crate::workload::form::TRANSACTION_ID_AT;
use crate::workload::form::values;
use crate::workload::identity;
use crate::workload::identity::REFERENCE_WIDTH;
use crate::workload::identity::Run;

/// Why no templates can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// The dialect does not take what traffic carries.
    #[error("the dialect cannot write a message of this traffic: {0}")]
    Write(#[from] WriteError),
    /// What was composed is not read back.
    #[error("the dialect does not read back its own message")]
    Unreadable,
    /// A field whose encoding cannot be patched.
    #[error("field {0} cannot be changed in place")]
    Field(u8),
}

/// A place for digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Digits {
    at: u16,
    /// In digits; zero is no place at all.
    width: u8,
    /// The character zero; zero when two digits stand in a byte.
    zero: u8,
}

impl Digits {
    #[inline]
    fn write(self, frame: &mut [u8], value: u64) {
        let at = usize::from(self.at);
        let mut rest = value;
        if self.zero == 0 {
            let bytes = usize::from(self.width).div_ceil(2);
            for byte in frame[at..at + bytes].iter_mut().rev() {
                let pair = (rest % 100) as u8;
                *byte = pair + pair / 10 * 6;
                rest /= 100;
            }
        } else {
            for byte in frame[at..at + usize::from(self.width)].iter_mut().rev() {
                *byte = self.zero + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    /// The digits from `from` on, as many as `width`; in packed fields both are even.
    const fn part(self, from: u8, width: u8) -> Self {
        if self.width == 0 {
            return self;
        }
        let bytes = if self.zero == 0 { from / 2 } else { from };
        Self { at: self.at + bytes as u16, width, zero: self.zero }
    }
}

/// A place for characters: letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Characters {
    at: u16,
    width: u8,
    ebcdic: bool,
}

impl Characters {
    #[inline]
    fn write(self, frame: &mut [u8], text: &[u8]) {
        let at = usize::from(self.at);
        for (to, from) in frame[at..at + usize::from(self.width)].iter_mut().zip(text) {
            *to = if self.ebcdic { crate::iso8583::digits::to_ebcdic(*from) } else { *from };
        }
    }
}

/// What differs from message to message.
/// It has a card number in clear, and so it does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The message's number: DE 11.
    pub number: u32,
    /// The number in DE 37, by which answers are found.
    pub reference: u32,
    /// The exchange that merchant, institution and network id follow: the purchase's first.
    pub original: u32,
    /// The exchange that a message is about (DE 90).
    pub named: u32,
    /// DE 2.
    pub pan: u64,
    /// DE 14.
    pub expiry: u16,
    /// DE 4, minor units.
    pub amount: u32,
    /// What is to stay of it (DE 95, Visa 61.3), or how much of it is cash (DE 54), minor units.
    pub other_amount: u32,
    /// DE 49.
    pub currency: u16,
    /// DE 3 where it is not the form's.
    pub processing_code: u32,
    /// DE 18.
    pub category: u16,
    /// DE 90: the original's MTI and DE 7.
    pub original_data: (u16, u32),
    /// DE 7 of the purchase's first message, whose day is a part of Mastercard's trace id.
    pub root_transmission: u32,
    /// DE 38 of the message that this one is about, where its answer is known.
    pub approval: [u8; 6],
    /// DE 7 where it was promised before, in DE 90 of an early reversal, or is to be kept; zero is now.
    pub transmission: u32,
    /// It is a repeat: the MTI's last digit is one higher.
    pub repeat: bool,
}

/// One composed frame.
#[derive(Clone, Debug)]
struct Template {
    frame: Vec<u8>,
    mti_end: u16,
    pan: Digits,
    processing_code: Digits,
    amount: Digits,
    transmission: Digits,
    stan: Digits,
    local_time: Digits,
    local_date: Digits,
    expiry: Digits,
    category: Digits,
    acquirer: Digits,
    rrn: Digits,
    approval: Characters,
    terminal: Digits,
    merchant: Digits,
    currency: Digits,
    transaction_id: Digits,
    settlement_date: Digits,
    reference: Characters,
    trace: Characters,
    trace_date: Digits,
    original_data: Digits,
    /// DE 95, Visa 61.3, DE 54.
    others: [Digits; 3],
    /// DE 6 and DE 51, and DE 54's currency.
    billing: Digits,
    currencies: [Digits; 2],
}

/// DE 3 of what an exchange asks for.
pub(super) const fn processing_code(kind: Kind) -> u32 {
    match kind {
        Kind::Cash => 10_000,
        Kind::Inquiry => 300_000,
        _ => 0,
    }
}

/// The composed frames of one dialect in one run.
#[derive(Clone, Debug)]
pub struct Templates {
    all: Vec<Template>,
    mapping: Mapping,
    run: Run,
}

impl Templates {
    /// Composes all frames.
    ///
    /// # Errors
    /// The dialect cannot carry this traffic.
    pub fn compose(dialect: &Dialect, run: Run) -> Result<Self, TemplateError> {
        let all: Result<Vec<Template>, TemplateError> =
            Form::ALL.iter().map(|form| compose(dialect, *form, run)).collect();
        Ok(Self { all: all?, mapping: dialect.mapping(), run })
    }

    /// Whether messages carry a network's private subfields, so that a part of an amount can be asked for and an
    /// account verified.
    #[must_use]
    pub fn has_private_fields(&self) -> bool {
        self.mapping != Mapping::Iso87
    }

    /// The run whose keys messages carry.
    pub(super) const fn run(&self) -> Run {
        self.run
    }

    /// Whether a purchase has an id in DE 62.2.
    pub(super) fn has_transaction_id(&self) -> bool {
        self.mapping == Mapping::Visa
    }

    /// Whether money from somebody else is a payment (28) and no original credit (26).
    #[must_use]
    pub fn has_payments(&self) -> bool {
        self.mapping == Mapping::Mastercard
    }

    /// Sets DE 7, DE 12 and DE 13 of all messages from here on. Returns DE 7.
    pub fn set_time(&mut self, now: Timestamp) -> u32 {
        let transmission = TransmissionTime::at(now).digits();
        for template in &mut self.all {
            let frame = &mut template.frame;
            template.transmission.write(frame, u64::from(transmission));
            template.local_time.write(frame, u64::from(transmission % 1_000_000));
            template.local_date.write(frame, u64::from(transmission / 1_000_000));
            template.settlement_date.write(frame, u64::from(transmission / 1_000_000));
        }
        transmission
    }

    /// Appends a frame.
    #[inline]
    pub(super) fn write(&self, form: Form, fill: &Fill, out: &mut Vec<u8>) {
        let template = &self.all[form as usize];
        let start = out.len();
        out.extend_from_slice(&template.frame);
        let frame = &mut out[start..];
        if fill.repeat {
            frame[usize::from(template.mti_end)] += 1;
        }
        template.stan.write(frame, u64::from(identity::stan(fill.number)));
        template.rrn.write(frame, u64::from(fill.reference));
        if form.mti() == 800 {
            return;
        }
        if fill.transmission != 0 {
            template.transmission.write(frame, u64::from(fill.transmission));
            template.settlement_date.write(frame, u64::from(fill.transmission / 1_000_000));
        }
        let original = fill.original;
        template.pan.write(frame, fill.pan);
        template.amount.write(frame, u64::from(fill.amount));
        template.category.write(frame, u64::from(fill.category));
        template.acquirer.write(frame, u64::from(identity::acquirer(original)));
        template.terminal.write(frame, u64::from(identity::terminal(original)));
        template.merchant.write(frame, u64::from(identity::merchant(original)));
        template.currency.write(frame, u64::from(fill.currency));
        template.transaction_id.write(frame, self.run.transaction_id(original));
        if template.reference.width > 0 {
            template.reference.write(frame, &self.run.reference(fill.number));
        }
        template.expiry.write(frame, u64::from(fill.expiry));
        if !form.is_plain() {
            self.write_further(template, fill, frame);
        }
    }

    /// What only messages of a life cycle, and reversals, have.
    fn write_further(&self, template: &Template, fill: &Fill, frame: &mut [u8]) {
        let (mti, transmission) = fill.original_data;
        let data = template.original_data;
        template.processing_code.write(frame, u64::from(fill.processing_code));
        data.part(0, 4).write(frame, u64::from(mti));
        data.part(4, 6).write(frame, u64::from(identity::stan(fill.named)));
        data.part(10, 10).write(frame, u64::from(transmission));
        // The forwarding institution is zero; its first digit makes the part even.
        data.part(20, 12).write(frame, u64::from(identity::acquirer(fill.original)) * 10);
        template.approval.write(frame, &fill.approval);
        if template.trace.width > 0 {
            template.trace.write(frame, &self.run.reference(fill.original));
            template.trace_date.write(frame, u64::from(fill.root_transmission / 1_000_000));
        }
        template.billing.write(frame, u64::from(fill.amount));
        for other in template.others {
            other.write(frame, u64::from(fill.other_amount));
        }
        for currency in template.currencies {
            currency.write(frame, u64::from(fill.currency));
        }
    }
}

fn compose(dialect: &Dialect, form: Form, run: Run) -> Result<Template, TemplateError> {
    let mut frame = Vec::new();
    dialect.compose(form.mti(), &values(dialect, form), &mut frame)?;
    let body = dialect.frame(&frame).ok().flatten().ok_or(TemplateError::Unreadable)?.body;
    let start = body.start + dialect.header_bytes();
    let mut spans = Spans::default();
    let view = View::parse(dialect.layout(), &frame[start..body.end], &mut spans)
        .map_err(|_| TemplateError::Unreadable)?;
    let places = Places { view, start, mapping: dialect.mapping() };
    let mti_bytes = if dialect.layout().mti() == Encoding::Bcd { 2 } else { 4 };
    let whole_rrn = places.characters(37)?;
    let mut template = Template {
        mti_end: (start + mti_bytes - 1) as u16,
        pan: places.digits(2)?,
        processing_code: places.digits(3)?,
        amount: places.digits(4)?,
        transmission: places.digits(7)?,
        stan: places.digits(11)?,
        local_time: places.digits(12)?,
        local_date: places.digits(13)?,
        expiry: places.digits(14)?,
        category: places.digits(18)?,
        acquirer: places.digits(32)?,
        rrn: places.digits(37)?.part(2, 10),
        approval: places.characters(38)?,
        terminal: places.digits(41)?,
        merchant: places.digits(42)?.part(8, 7),
        currency: places.digits(49)?,
        transaction_id: places.transaction_id(),
        settlement_date: places.digits(15)?,
        reference: places.reference(63, REFERENCE_AT)?,
        trace: Characters::default(),
        trace_date: Digits::default(),
        original_data: places.digits(90)?,
        others: [places.digits(95)?.part(0, 12), places.other_amount(), places.digits(54)?.part(8, 12)],
        billing: places.digits(6)?,
        currencies: [places.digits(51)?, places.digits(54)?.part(4, 3)],
        frame: Vec::new(),
    };
    if form.follows() && dialect.mapping() == Mapping::Mastercard {
        template.trace = places.reference(48, TRACE_AT + REFERENCE_AT)?;
        template.trace_date = places.digits(48)?.part((TRACE_AT + REFERENCE_AT + REFERENCE_WIDTH) as u8, 4);
    }
    if matches!(form, Form::Inquiry | Form::Verification) {
        // These ask for no amount.
        template.amount = Digits::default();
    }
    whole_rrn.write(&mut frame, &run.rrn(0));
    template.frame = frame;
    Ok(template)
}

/// Where the fields of a composed message stand.
struct Places<'v> {
    view: View<'v>,
    start: usize,
    mapping: Mapping,
}

impl Places<'_> {
    fn digits(&self, field: u8) -> Result<Digits, TemplateError> {
        let (Some((_, content)), Some(units)) = (self.view.offsets(field), self.view.units(field)) else {
            return Ok(Digits::default());
        };
        let encoding = self.view.layout().field(field).map(|spec| spec.encoding);
        let (zero, width) = match encoding {
            Some(Encoding::Ascii) => (b'0', units),
            Some(Encoding::Ebcdic) => (0xf0, units),
            // A spare nibble in front is a zero.
            Some(Encoding::Bcd) => (0, units.next_multiple_of(2)),
            _ => return Err(TemplateError::Field(field)),
        };
        Ok(Digits { at: (self.start + content) as u16, width: width as u8, zero })
    }

    fn characters(&self, field: u8) -> Result<Characters, TemplateError> {
        let (Some((_, content)), Some(units)) = (self.view.offsets(field), self.view.units(field)) else {
            return Ok(Characters::default());
        };
        let ebcdic = match self.view.layout().field(field).map(|spec| spec.encoding) {
            Some(Encoding::Ascii) => false,
            Some(Encoding::Ebcdic) => true,
            _ => return Err(TemplateError::Field(field)),
        };
        Ok(Characters { at: (self.start + content) as u16, width: units as u8, ebcdic })
    }

    /// The six characters of a reference within a field of a Mastercard message.
    fn reference(&self, field: u8, from: usize) -> Result<Characters, TemplateError> {
        if self.mapping != Mapping::Mastercard {
            return Ok(Characters::default());
        }
        let whole = self.characters(field)?;
        if whole.width == 0 {
            return Ok(whole);
        }
        Ok(Characters { at: whole.at + from as u16, width: REFERENCE_WIDTH as u8, ebcdic: whole.ebcdic })
    }

    /// Visa's 61.3, in packed digits.
    fn other_amount(&self) -> Digits {
        let content = self.view.offsets(61).filter(|_| self.mapping == Mapping::Visa);
        content.map_or(Digits::default(), |(_, content)| Digits {
            at: (self.start + content + OTHER_AMOUNT_AT) as u16,
            width: 12,
            zero: 0,
        })
    }

    /// Visa's 62.2.
    fn transaction_id(&self) -> Digits {
        if self.mapping != Mapping::Visa {
            return Digits::default();
        }
        let content = self.view.offsets(62).map(|(_, content)| content);
        content.map_or(Digits::default(), |content| Digits {
            at: (self.start + content + TRANSACTION_ID_AT) as u16,
            width: 16,
            zero: 0,
        })
    }
}
