//! Whether what was read makes sense.

use crate::dialect::Dialect;
use crate::dialect::MessageHeader;
use crate::dialect::header::VISA_HEADER_BYTES;
use crate::dialect::mask;
use crate::dialect::meaning;
use crate::dialect::tree;
use crate::dialect::tree::Node;
use crate::dialect::tree::What;
use crate::iso8583::spec::Content;
use crate::iso8583::view::View;

/// What is looked at, each with what it is worth when it is right and what it costs when it is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    CardNumbers,
    ProcessingCode,
    Dates,
    Currencies,
    Codes,
    Texts,
    Parts,
    HeaderLength,
}

const CHECKS: [(Check, &str, i32, i32); 8] = [
    (Check::CardNumbers, "card numbers with a right check digit", 4, -2),
    (Check::ProcessingCode, "processing codes that are known", 2, -3),
    (Check::Dates, "dates and times", 3, -6),
    (Check::Currencies, "currencies that exist", 3, -4),
    (Check::Codes, "response and network management codes that are known", 3, -3),
    (Check::Texts, "texts that can be printed", 1, -4),
    (Check::Parts, "fields whose parts end where they end", 3, -4),
    (Check::HeaderLength, "headers that say the message's length", 6, -6),
];

/// Most that the number of fields is worth in one message.
const FIELDS_MAX: usize = 12;

/// What speaks for a reading, over all messages.
#[derive(Default)]
pub(super) struct Evidence {
    pub(super) score: i32,
    fields: usize,
    right: [usize; CHECKS.len()],
    wrong: [usize; CHECKS.len()],
}

impl Evidence {
    fn note(&mut self, check: Check, right: bool) {
        let Some(at) = CHECKS.iter().position(|(known, ..)| *known == check) else { return };
        let (_, _, bonus, malus) = CHECKS[at];
        if right {
            self.right[at] += 1;
            self.score += bonus;
        } else {
            self.wrong[at] += 1;
            self.score += malus;
        }
    }

    /// Weighs one message that was read to its end. `whole` is its length with the last header before it.
    pub(super) fn weigh(
        &mut self,
        dialect: &Dialect,
        view: &View<'_>,
        body: &[u8],
        (header, whole): (&[u8], usize),
    ) {
        let fields: Vec<u8> = view.fields().iter().collect();
        self.fields += fields.len();
        self.score += fields.len().min(FIELDS_MAX) as i32;
        for field in fields {
            let Some(value) = dialect.value(view, field) else { continue };
            let text = dialect.layout().field(field).is_some_and(|spec| spec.content == Content::Text);
            if text && !value.is_empty() && dialect.subfields(field).is_none() {
                self.note(Check::Texts, value.chars().all(|c| c.is_ascii_graphic() || c == ' '));
            }
            self.weigh_field(dialect, field, &value);
        }
        for node in tree::nodes(dialect, body) {
            if node.what == What::Field && dialect.subfields(number(&node)).is_some() && !node.hidden {
                self.note(Check::Parts, !node.is_unreadable());
            }
        }
        if dialect.header == MessageHeader::Visa && header.len() >= VISA_HEADER_BYTES {
            let said = usize::from(u16::from_be_bytes([header[3], header[4]]));
            self.note(Check::HeaderLength, said == whole || said == body.len());
        }
    }

    fn weigh_field(&mut self, dialect: &Dialect, field: u8, value: &str) {
        match field {
            2 => self.note(Check::CardNumbers, mask::has_check_digit(value)),
            3 => self.note(Check::ProcessingCode, meaning::is_processing_code(value)),
            7 => self.note(Check::Dates, meaning::is_date_and_time(value)),
            12 if value.len() == 6 => self.note(Check::Dates, meaning::is_time_of_day(value)),
            13 | 15 | 17 if value.len() == 4 => self.note(Check::Dates, meaning::is_date(value)),
            39 => self.note(Check::Codes, meaning::is_response_code(dialect, value)),
            70 => self.note(Check::Codes, meaning::is_network_code(dialect, value)),
            49..=51 => self.note(Check::Currencies, meaning::is_currency(value)),
            _ => {}
        }
    }

    pub(super) fn reasons(&self, messages: usize) -> Vec<String> {
        let whole =
            if messages == 1 { "the message ends".to_owned() } else { format!("{messages} messages end") };
        let mut reasons = vec![format!("{whole} with the last of the fields, {} in all", self.fields)];
        for (at, (_, words, ..)) in CHECKS.iter().enumerate() {
            let (right, all) = (self.right[at], self.right[at] + self.wrong[at]);
            if all > 0 {
                reasons.push(format!("{right} of {all} {words}"));
            }
        }
        reasons
    }
}

fn number(node: &Node) -> u8 {
    node.id.parse().unwrap_or(0)
}
