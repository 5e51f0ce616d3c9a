//! Chip data as nodes: tags, the tags inside templates, and datasets of tags.

use super::Node;
use super::What;
use crate::dialect::mask;
use crate::dialect::mask::Secrecy;
use crate::dialect::meaning;
use crate::iso8583::digits;
use crate::iso8583::tlv;

/// How deep a template may lie in others. What lies deeper is not shown.
const DEPTH_MAX: usize = 4;
/// Bytes of a dataset's id and length.
const DATASET_HEAD: usize = 3;

/// The chip data of one field, or of one dataset or template in it.
pub(super) struct Chip<'c> {
    /// The numbers in front of those of its tags: `55`, or `55.70` in a template.
    pub(super) id: &'c str,
    pub(super) content: &'c [u8],
    /// Where it starts in the input.
    pub(super) at: usize,
    /// Bytes of the input for one of the content: two where it is written in hex.
    pub(super) width: usize,
    /// How many templates it lies in.
    pub(super) depth: usize,
}

impl Chip<'_> {
    /// Makes a node of each tag; gives back from where on the content cannot be read.
    pub(super) fn tags(&self, nodes: &mut Vec<Node>) -> Option<usize> {
        for tag in tlv::tags(self.content) {
            let tag = match tag {
                Ok(tag) => tag,
                Err(error) => return Some(error.offset),
            };
            let hex = digits::hex_text(tag.value);
            let id = format!("{}.{:02X}", self.id, tag.tag);
            let length = (tag.value_offset - tag.offset + tag.value.len()) * self.width;
            let node = Node::new(What::Tag, id, meaning::tag(tag.tag), self.place(tag.offset), length);
            let bytes = tag.value.len();
            let secrecy = mask::secrecy_of_tag(tag.tag);
            nodes.push(if tag.is_constructed() && secrecy == Secrecy::Open {
                match self.template(&node.id, &tag) {
                    Some(parts) => Node { value: None, parts, ..node.with(Secrecy::Open, &hex, bytes) },
                    // Nobody knows what stands in it.
                    None => node.with(Secrecy::Hidden, &hex, bytes),
                }
            } else {
                node.with(secrecy, &hex, bytes).meaning(meaning::tag_value(tag.tag, &hex))
            });
        }
        None
    }

    /// The tags inside a template; `None` when they lie too deep or cannot be read to their end.
    fn template(&self, id: &str, tag: &tlv::Tag<'_>) -> Option<Vec<Node>> {
        let mut parts = Vec::new();
        let (at, depth) = (self.place(tag.value_offset), self.depth + 1);
        let inner = Chip { id, content: tag.value, at, width: self.width, depth };
        (depth <= DEPTH_MAX && inner.tags(&mut parts).is_none()).then_some(parts)
    }

    /// Makes a node of each dataset, with its tags.
    pub(super) fn datasets(&self, nodes: &mut Vec<Node>) -> Option<usize> {
        for set in tlv::datasets(self.content) {
            let set = match set {
                Ok(set) => set,
                Err(error) => return Some(error.offset),
            };
            let id = format!("{}.{:02X}", self.id, set.id);
            let length = (DATASET_HEAD + set.content.len()) * self.width;
            let mut node = Node::new(What::Dataset, id, "Dataset", self.place(set.offset), length);
            let start = set.offset + DATASET_HEAD;
            let inner = Chip { content: set.content, at: self.place(start), ..*self };
            let broken = inner.tags(&mut node.parts);
            nodes.push(node);
            if let Some(offset) = broken {
                return Some(start + offset);
            }
        }
        None
    }

    fn place(&self, offset: usize) -> usize {
        self.at + offset * self.width
    }
}
