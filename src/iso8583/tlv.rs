//! Tags inside a field: BER-TLV as chip data uses it, and the datasets that wrap it.

/// One tag and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The tag's bytes as a number: `0x9F26`.
    pub tag: u32,
    /// Its value.
    pub value: &'a [u8],
    /// Where its tag starts in the content.
    pub offset: usize,
    /// Where its value starts in the content.
    pub value_offset: usize,
}

impl Tag<'_> {
    /// Whether its value is made of tags: bit 6 of its first byte.
    #[must_use]
    pub const fn is_constructed(&self) -> bool {
        let first = self.tag << (self.tag.leading_zeros() & 0x18) >> 24;
        first & 0x20 != 0
    }
}

/// The tags of a BER-TLV content cannot be read from this offset on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the tags cannot be read from offset {offset} on")]
pub struct TagError {
    /// Where in the content.
    pub offset: usize,
}

/// The tags of a content, one after the other. Zero bytes between tags are passed over (EMV book 3, annex B).
#[derive(Clone, Debug)]
pub struct Tags<'a> {
    rest: &'a [u8],
    /// Bytes of the whole content.
    length: usize,
}

/// Reads BER-TLV.
#[must_use]
pub const fn tags(content: &[u8]) -> Tags<'_> {
    Tags { rest: content, length: content.len() }
}

/// The value of the first tag with this number; `None` when there is none before the tags cannot be read.
#[must_use]
pub fn find(content: &[u8], tag: u32) -> Option<&[u8]> {
    tags(content).map_while(Result::ok).find(|found| found.tag == tag).map(|found| found.value)
}

impl<'a> Tags<'a> {
    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A tag with the value that was read last.
    #[inline(always)]
    const fn tag(&self, tag: u32, value: &'a [u8], offset: usize) -> Tag<'a> {
        Tag { tag, value, offset, value_offset: self.length - self.rest.len() - value.len() }
    }

    /// A tag of any length with a length of any width, behind its offset.
    #[inline(never)]
    fn read_long(&mut self) -> Option<(u32, &'a [u8])> {
        let mut rest = self.rest.iter();
        let mut byte = || rest.next().copied();
        let first = byte()?;
        let mut tag = u32::from(first);
        if first & 0x1f == 0x1f {
            let mut more = true;
            let mut bytes = 1;
            while more {
                let next = byte()?;
                bytes += 1;
                if bytes > 4 {
                    return None;
                }
                tag = tag << 8 | u32::from(next);
                more = next & 0x80 != 0;
            }
        }
        let length = match byte()? {
            short @ 0..=0x7f => usize::from(short),
            long @ 0x81..=0x83 => {
                let mut length = 0;
                for _ in 0..long & 0x0f {
                    length = length << 8 | usize::from(byte()?);
                }
                length
            }
            _ => return None,
        };
        let (value, rest) = rest.as_slice().split_at_checked(length)?;
        self.rest = rest;
        Some((tag, value))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<Tag<'a>, TagError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.length - self.rest.len();
            // A tag of one or two bytes with a short length, as nearly all are.
            let short = match *self.rest {
                [] => return None,
                [0, ref rest @ ..] => {
                    self.rest = rest;
                    continue;
                }
                [tag, length, ref rest @ ..] if tag & 0x1f != 0x1f && length < 0x80 => {
                    Some((u32::from(tag), length, rest))
                }
                [first, second, length, ref rest @ ..]
                    if first & 0x1f == 0x1f && second < 0x80 && length < 0x80 =>
                {
                    Some((u32::from(first) << 8 | u32::from(second), length, rest))
                }
                _ => None,
            };
            if let Some((tag, length, rest)) = short
                && let Some((value, rest)) = rest.split_at_checked(usize::from(length))
            {
                self.rest = rest;
                return Some(Ok(self.tag(tag, value, offset)));
            }
            return Some(match self.read_long() {
                Some((tag, value)) => Ok(self.tag(tag, value, offset)),
                None => {
                    self.rest = &[];
                    Err(TagError { offset })
                }
            });
        }
    }
}

/// One dataset of a field: an id, a length of two bytes, and tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dataset<'a> {
    /// Its id.
    pub id: u8,
    /// Its content, BER-TLV.
    pub content: &'a [u8],
    /// Where its id starts in the field's content.
    pub offset: usize,
}

/// The datasets of a field, one after the other.
#[derive(Clone, Debug)]
pub struct Datasets<'a> {
    content: &'a [u8],
    at: usize,
}

/// Reads datasets.
#[must_use]
pub const fn datasets(content: &[u8]) -> Datasets<'_> {
    Datasets { content, at: 0 }
}

impl<'a> Iterator for Datasets<'a> {
    type Item = Result<Dataset<'a>, TagError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.content.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        let offset = self.at;
        let Some((&[id, high, low], after)) = rest.split_first_chunk::<3>() else {
            self.at = self.content.len();
            return Some(Err(TagError { offset }));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match after.get(..length) {
            Some(content) => {
                self.at += 3 + length;
                Some(Ok(Dataset { id, content, offset }))
            }
            None => {
                self.at = self.content.len();
                Some(Err(TagError { offset }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::digits::hex_bytes;

    #[test]
    fn tags_are_read_and_broken_ones_end_it() {
        let table = [
            ("82023900", vec![(0x82, 2)], None),
            ("9F3602003400DF812904AABBCCDD", vec![(0x9f36, 2), (0xdf_8129, 4)], None),
            ("5F2A810208405F", vec![(0x5f2a, 2)], Some(6)),
            ("8202", vec![], Some(0)),
            ("9A0384", vec![], Some(0)),
            ("82848202", vec![], Some(0)),
            ("9F8181810100", vec![], Some(0)),
            ("0000", vec![], None),
        ];
        for (hex, expected, broken) in table {
            let bytes = hex_bytes(hex.as_bytes()).expect("hex");
            let mut found = Vec::new();
            let mut error = None;
            for item in tags(&bytes) {
                match item {
                    Ok(tag) => found.push((tag.tag, tag.value.len())),
                    Err(at) => error = Some(at.offset),
                }
            }
            assert_eq!((found, error), (expected, broken), "{hex}");
        }
    }

    #[test]
    fn a_tag_is_found() {
        let table: [(&str, Option<&[u8]>); 8] = [
            ("820239009F26021234", Some(&[0x12, 0x34])),
            ("00009F26011200", Some(&[0x12])),
            ("DF812901AA9F260112", Some(&[0x12])),
            ("82810100", None),
            ("9F26810156", Some(&[0x56])),
            ("9F2602AA", None),
            ("82059F26011200", None),
            ("9F", None),
        ];
        for (hex, expected) in table {
            let bytes = hex_bytes(hex.as_bytes()).expect("hex");
            assert_eq!(find(&bytes, 0x9f26), expected, "{hex}");
            let walked = tags(&bytes).flatten().find(|tag| tag.tag == 0x9f26).map(|tag| tag.value);
            assert_eq!(walked, expected, "{hex}");
        }
    }

    #[test]
    fn datasets_are_read() {
        let bytes = hex_bytes(b"01000482023900560003010155").expect("hex");
        let found: Vec<_> = datasets(&bytes).map(|set| set.map(|s| (s.id, s.content.len())).ok()).collect();
        assert_eq!(found, [Some((1, 4)), Some((0x56, 3))]);
        assert!(datasets(&bytes[..bytes.len() - 1]).any(|set| set.is_err()));
        assert!(datasets(&[1, 0]).all(|set| set.is_err()));
    }
}
