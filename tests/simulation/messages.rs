//! What networks write, in each of the built-in dialects, and what they read of the answers.

use turnpike::dialect::Dialect;
use turnpike::dialect::Mapping;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::dialect::inbound::NetworkRequest;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;

/// Whom a message is about, and how it is named.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) mti: u16,
    pub(crate) stan: u32,
    /// DE 7.
    pub(crate) transmission: String,
}

/// One message about money.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) named: Named,
    /// Its exchange's number: DE 37.
    pub(crate) number: u32,
    /// The exchange that its purchase began with: merchant, and the network's own id.
    pub(crate) root: u32,
    /// DE 18.
    pub(crate) mcc: u16,
    /// The amount is an estimate.
    pub(crate) estimated: bool,
    /// It adds to what its purchase began with.
    pub(crate) adds: bool,
    /// What is to stay (DE 95).
    pub(crate) keeps: Option<i64>,
    /// It is the amount at the end of what was held.
    pub(crate) ends: bool,
    pub(crate) pan: u64,
    /// DE 3.
    pub(crate) processing: &'static str,
    pub(crate) amount: i64,
    pub(crate) currency: u16,
    /// The terminal takes a part of the amount.
    pub(crate) takes_part: bool,
    /// DE 90, and for Mastercard the trace id.
    pub(crate) original: Option<Named>,
    /// DE 38.
    pub(crate) approval: Option<String>,
    /// DE 39 of an advice.
    pub(crate) decided: Option<&'static str>,
    /// The network says that it decided by itself, since its timer ran out.
    pub(crate) timed_out: bool,
}

/// DE 37: it is found again in the books by its characters.
pub(crate) fn rrn(number: u32) -> String {
    format!("SIM{number:09}")
}

/// The number in a DE 37.
pub(crate) fn number_of(rrn: &[u8]) -> Option<u32> {
    std::str::from_utf8(rrn).ok()?.strip_prefix("SIM")?.trim().parse().ok()
}

fn reference(number: u32) -> String {
    format!("{number:06}")
}

fn bcd(digits: &str) -> Vec<u8> {
    digits.as_bytes().chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect()
}

/// Content of a field: text, or bytes where a network packs something of its own.
enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

type Values = Vec<(u8, Content)>;

fn text(value: impl Into<String>) -> Content {
    Content::Text(value.into())
}

/// The frame of a message.
pub(crate) fn compose(dialect: &Dialect, message: &Message) -> Vec<u8> {
    let Message { named, number, root, .. } = message;
    let is_visa = dialect.mapping() == Mapping::Visa;
    let (acquirer, rest) = (40_000_000 + root % 7, root % 5_000);
    let mut values: Values = vec![
        (2, text(message.pan.to_string())),
        (3, text(message.processing)),
        (4, text(format!("{:012}", message.amount))),
        (7, text(&named.transmission)),
        (11, text(format!("{:06}", named.stan))),
        (12, text(&named.transmission[4..])),
        (13, text(&named.transmission[..4])),
        (18, text(format!("{:04}", message.mcc))),
        (22, text(if is_visa { "0510" } else { "051" })),
        (32, text(acquirer.to_string())),
        (37, text(rrn(*number))),
        (41, text(format!("{:08}", 10_000_000 + rest))),
        (42, text(format!("MERCHANT{rest:07}"))),
        (43, text("CORNER SHOP              SPRINGFIELD  US")),
        (49, text(format!("{:03}", message.currency))),
    ];
    if let Some(code) = &message.approval {
        values.push((38, text(code)));
    }
    if let Some(code) = message.decided {
        values.push((39, text(code)));
    }
    if let Some(keeps) = message.keeps {
        values.push((95, text(format!("{keeps:012}{:030}", 0))));
    }
    if let Some(original) = &message.original {
        let Named { mti, stan, transmission } = original;
        values.push((90, text(format!("{mti:04}{stan:06}{transmission}{acquirer:011}{:011}", 0))));
    }
    match dialect.mapping() {
        Mapping::Visa => visa(message, &mut values),
        Mapping::Mastercard => mastercard(message, &mut values),
        Mapping::Iso87 => values.extend([(19, text("840")), (25, text("00"))]),
    }
    framed(dialect, named.mti, values)
}

fn visa(message: &Message, values: &mut Values) {
    let id = [
        vec![0x40, 0, 0, 0, 0, 0, 0, 0],
        bcd(&format!("{:016}", 300_000_000_000_000 + u64::from(message.root))),
    ];
    // 63.1 is the network; 63.3 and 63.4 say why a message was sent, and why it was decided elsewhere.
    let private: &[u8] = match message {
        Message { timed_out: true, .. } => &[0xB0, 0, 0, 0, 0x02, 0x25, 0x02, 0x90, 0x20],
        Message { adds: true, .. } => &[0xA0, 0, 0, 0, 0x02, 0x39, 0x00],
        _ => &[0x80, 0, 0, 0, 0x02],
    };
    values.extend([
        (19, text("840")),
        (25, text(if message.ends { "06" } else { "00" })),
        (62, Content::Bytes(id.concat())),
        (63, Content::Bytes(private.to_vec())),
    ]);
    if message.takes_part {
        values.push((60, Content::Bytes(vec![0x05, 0, 0, 0, 0, 0x01])));
    } else if message.estimated {
        values.push((60, Content::Bytes(vec![0x05, 0, 0, 0, 0, 0x02])));
    }
}

fn mastercard(message: &Message, values: &mut Values) {
    let id = reference(message.number);
    let of = message.original.as_ref().or_else(|| message.adds.then_some(&message.named));
    let private = match of {
        // All of a simulation is on one day.
        Some(of) => format!("R6315MCC{}{}  ", reference(message.root), &of.transmission[..4]),
        None if message.takes_part => "R610510000".to_owned(),
        None => "R".to_owned(),
    };
    values.extend([
        (15, text(&message.named.transmission[..4])),
        (48, text(private)),
        (61, text(if message.estimated { "0000004000800840902101234" } else { "0000000000800840902101234" })),
        (63, text(format!("MCC{id}"))),
    ]);
    if message.ends {
        values.push((60, text("1910000")));
    }
    if message.timed_out && message.original.is_some() {
        values.push((39, text("82")));
    }
}

/// A sign-on, a sign-off or an echo of the peer.
pub(crate) fn management(dialect: &Dialect, named: &Named, what: Management) -> Vec<u8> {
    let mapping = dialect.mapping();
    let code = match (mapping, what) {
        (Mapping::Mastercard, Management::Echo) => "270",
        (_, Management::Echo) => "301",
        (Mapping::Visa, Management::SignOn) => "071",
        (Mapping::Visa, Management::SignOff) => "072",
        (Mapping::Mastercard, Management::SignOn) => "061",
        (Mapping::Mastercard, Management::SignOff) => "062",
        (Mapping::Iso87, Management::SignOn) => "001",
        (Mapping::Iso87, Management::SignOff) => "002",
    };
    let mut values: Values = vec![
        (7, text(&named.transmission)),
        (11, text(format!("{:06}", named.stan))),
        (37, text(rrn(0))),
        (70, text(code)),
    ];
    if mapping == Mapping::Visa {
        values.push((63, Content::Bytes(vec![0x80, 0, 0, 0, 0x02])));
    }
    framed(dialect, 800, values)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Management {
    SignOn,
    SignOff,
    Echo,
}

fn framed(dialect: &Dialect, mti: u16, mut values: Values) -> Vec<u8> {
    values.sort_by_key(|(field, _)| *field);
    let values: Vec<(u8, Value<'_>)> = values
        .iter()
        .map(|(field, content)| match content {
            Content::Text(text) => (*field, Value::Text(text)),
            Content::Bytes(bytes) => (*field, Value::Bytes(bytes)),
        })
        .collect();
    let mut frame = Vec::new();
    dialect.compose(mti, &values, &mut frame).expect("values that fit");
    frame
}

/// What a network reads of a message of the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) mti: u16,
    pub(crate) stan: u32,
    /// DE 39.
    pub(crate) code: String,
    /// DE 38.
    pub(crate) approval: String,
    /// DE 4.
    pub(crate) amount: i64,
}

/// A message of the daemon: an answer, or a request of its own with what answers it.
pub(crate) enum Read {
    Answer(Seen),
    Asks(NetworkRequest, Answering),
}

/// How a request of the daemon is answered.
pub(crate) struct Answering {
    pub(crate) accepted: Vec<u8>,
    pub(crate) refused: Vec<u8>,
}

pub(crate) fn read(dialect: &Dialect, context: Context, body: &[u8]) -> Read {
    let mut spans = Spans::default();
    let view = match dialect.decode(body, context, &mut spans) {
        Ok(received) => {
            if let Inbound::NetworkManagement(request) = received.inbound {
                use turnpike::domain::action::ActionCode;
                let answer = |action| {
                    let mut frame = Vec::new();
                    dialect
                        .write_network_outcome(&received, action, &mut frame)
                        .expect("an answer that fits");
                    frame
                };
                let accepted = answer(ActionCode::Approved);
                return Read::Asks(
                    request,
                    Answering { accepted, refused: answer(ActionCode::SystemMalfunction) },
                );
            }
            received.view
        }
        Err(malformed) => malformed.view.expect("a message of the daemon can be read"),
    };
    let value = |field| dialect.value(&view, field).unwrap_or_default();
    Read::Answer(Seen {
        mti: view.mti(),
        stan: value(11).parse().expect("DE 11 is a number"),
        code: value(39),
        approval: value(38),
        amount: value(4).parse().unwrap_or(0),
    })
}
