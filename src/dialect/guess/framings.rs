//! Which framings divide the whole input, and which of them is more usual.

use crate::iso8583::frame::Framing;
use crate::iso8583::frame::Kind;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Prefix;

const ETX: u8 = 0x03;

/// The inputs divided into messages.
pub(super) struct Division<'a> {
    /// How; `None` when every input is a message without framing.
    pub(super) framing: Option<Framing>,
    /// The messages.
    pub(super) bodies: Vec<&'a [u8]>,
    /// Frames without a message.
    polls: usize,
    /// Bytes of a frame whose start or end was not captured, in front of the first whole one and behind the last.
    cut: (usize, usize),
    /// How much speaks for it.
    pub(super) score: i32,
}

/// What a frame that was captured in part costs at the start, and at the end.
const CUT: (i32, i32) = (10, 6);
/// Whole frames that make up for a cut one, and the shortest message that counts as one.
const WHOLE_MIN: usize = 2;
const MESSAGE_MIN: usize = 12;
/// Places from which a framing is tried to fit.
const STARTS_MAX: usize = 16;

/// Every division of the inputs that ends where they end.
pub(super) fn divisions<'a>(streams: &[&'a [u8]], own: &[Framing]) -> Vec<Division<'a>> {
    let divide = |framing: Framing| divide(framing, streams);
    let plain = Division { framing: None, bodies: streams.to_vec(), polls: 0, cut: (0, 0), score: 0 };
    framings(own).into_iter().filter_map(divide).chain([plain]).collect()
}

/// Every division of one input that begins or ends inside a frame; to be tried when nothing else fits.
pub(super) fn cut_divisions<'a>(stream: &'a [u8], own: &[Framing]) -> Vec<Division<'a>> {
    let longest = stream.len().min(usize::from(u16::MAX));
    let starts = |framing: Framing| {
        let from = move |start: usize| divide_from(&framing, stream, start);
        let right = |division: &Division<'_>| division.bodies.iter().all(|body| is_message(body));
        (0..longest).filter_map(from).filter(right).take(STARTS_MAX)
    };
    framings(own).into_iter().flat_map(starts).collect()
}

fn is_message(body: &[u8]) -> bool {
    body.len() >= MESSAGE_MIN
}

/// Frames from `start` on, up to the last whole one.
fn divide_from<'a>(framing: &Framing, stream: &'a [u8], start: usize) -> Option<Division<'a>> {
    let rest = stream.get(start..)?;
    let mut whole = 0;
    while whole < rest.len() {
        match framing.next(rest.get(whole..)?) {
            Ok(Some(frame)) => whole += frame.total,
            Ok(None) => break,
            Err(_) => return None,
        }
    }
    let mut division = divide(framing.clone(), &[rest.get(..whole)?])?;
    division.cut = (start, rest.len() - whole);
    if division.cut == (0, 0) || division.bodies.len() < WHOLE_MIN {
        return None;
    }
    for (bytes, malus) in [(start, CUT.0), (rest.len() - whole, CUT.1)] {
        division.score -= if bytes > 0 { malus } else { 0 };
    }
    Some(division)
}

fn framings(own: &[Framing]) -> Vec<Framing> {
    let mut framings: Vec<Framing> = Vec::new();
    for framing in own.iter().cloned().chain(all()) {
        let framing = Framing { max: u32::from(u16::MAX), tpdu: None, ..framing };
        if !framings.contains(&framing) {
            framings.push(framing);
        }
    }
    framings
}

fn all() -> Vec<Framing> {
    let mut all = Vec::new();
    let lengths = [
        (Encoding::Binary, false),
        (Encoding::Binary, true),
        (Encoding::Bcd, false),
        (Encoding::Ascii, false),
        (Encoding::Hex, false),
        (Encoding::Ebcdic, false),
    ];
    let trailers: [(&[u8], bool); 3] = [(&[], true), (&[ETX], true), (&[ETX], false)];
    for (encoding, little_endian) in lengths {
        for width in [2, 4, 3, 1, 6, 5] {
            for (before, after) in [(0, 0), (0, 2), (2, 0)] {
                for inclusive in [false, true] {
                    for (trailer, trailer_counted) in trailers {
                        all.push(Framing {
                            before,
                            length: Prefix { encoding, width },
                            little_endian,
                            inclusive,
                            after,
                            trailer: trailer.to_vec(),
                            trailer_counted,
                            ..Framing::default()
                        });
                    }
                }
            }
        }
    }
    // A length of one byte has no lowest byte.
    all.retain(|framing| !framing.little_endian || framing.length.width > 1);
    let none = Prefix { encoding: Encoding::Binary, width: 0 };
    all.push(Framing { length: none, trailer: vec![ETX], ..Framing::default() });
    all
}

fn divide<'a>(framing: Framing, streams: &[&'a [u8]]) -> Option<Division<'a>> {
    let (mut bodies, mut polls, mut filled) = (Vec::new(), 0, 0);
    for stream in streams {
        let mut at = 0;
        while at < stream.len() {
            let rest = stream.get(at..)?;
            let frame = framing.next(rest).ok()??;
            let between =
                usize::from(framing.before) + usize::from(framing.length.width)..framing.prefix_bytes();
            let fillers = rest.get(..usize::from(framing.before)).into_iter().chain(rest.get(between));
            filled += usize::from(fillers.flatten().any(|byte| *byte != 0));
            match frame.kind {
                Kind::Message => bodies.push(rest.get(frame.body)?),
                _ => polls += 1,
            }
            at += frame.total;
        }
    }
    if bodies.is_empty() {
        return None;
    }
    // Reserved bytes are zeros, and zeros between messages are polls only if nothing better explains them.
    let doubts = 8 * filled.min(2) + 3 * polls.min(4);
    let score = custom(&framing) + 2 * (bodies.len().min(10) as i32) - doubts as i32;
    Some(Division { framing: Some(framing), bodies, polls, cut: (0, 0), score })
}

/// How usual a framing is. A length that fits is much evidence; an end byte is some.
fn custom(framing: &Framing) -> i32 {
    let mut score = if framing.length.width == 0 { 4 } else { 12 };
    let unusual = [
        (framing.little_endian, 3),
        (framing.inclusive, 2),
        (framing.before > 0, 3),
        (framing.after > 0, 2),
        (!framing.trailer.is_empty(), 1),
        (!framing.trailer_counted, 1),
        (matches!(framing.length.width, 1 | 5 | 6), 2),
        (framing.length.encoding == Encoding::Ebcdic, 1),
        (framing.length.encoding == Encoding::Hex, 1),
    ];
    for (is_so, malus) in unusual {
        score -= if is_so { malus } else { 0 };
    }
    score
}

impl Division<'_> {
    pub(super) fn reason(&self) -> String {
        let Some(framing) = &self.framing else {
            return "framing: none; the message begins with the input's first byte".to_owned();
        };
        let frames = self.bodies.len() + self.polls;
        let frames = if frames == 1 { "one frame".to_owned() } else { format!("{frames} frames") };
        let ends = if self.bodies.len() + self.polls == 1 { "ends" } else { "end" };
        match self.cut {
            (0, 0) => format!("framing: {frames} with {} {ends} where the input ends", words(framing)),
            (before, behind) => format!(
                "framing: {frames} with {}; {before} bytes in front of them and {behind} behind belong to frames that \
                 are cut off",
                words(framing)
            ),
        }
    }
}

/// A framing in words.
pub(super) fn words(framing: &Framing) -> String {
    let mut words = if framing.length.width == 0 {
        "no length".to_owned()
    } else {
        let encoding = super::encoding_name(framing.length.encoding);
        let width = framing.length.width;
        format!("a length of {width} byte{} in {encoding}", if width == 1 { "" } else { "s" })
    };
    let more = [
        (framing.little_endian, ", lowest first".to_owned()),
        (framing.inclusive, ", counting itself".to_owned()),
        (framing.before > 0, format!(", behind {} reserved", framing.before)),
        (framing.after > 0, format!(", then {} reserved", framing.after)),
        (!framing.trailer.is_empty(), ", ETX at the end".to_owned()),
        (!framing.trailer_counted, " that is not counted".to_owned()),
        (framing.session_control, " or session control".to_owned()),
        (framing.tpdu.is_some(), ", a TPDU".to_owned()),
    ];
    for (is_so, text) in more {
        words += if is_so { &text } else { "" };
    }
    words
}
