//! BER-TLV and datasets: every tag lies inside its content, and both ways of looking at it agree.

use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::tlv;

pub fn run(bytes: &[u8]) {
    tags(bytes);
    let mut at = 0;
    for set in tlv::datasets(bytes) {
        match set {
            Ok(set) => {
                assert_eq!(set.offset, at, "datasets follow each other");
                at += 3 + set.content.len();
                tags(set.content);
            }
            Err(error) => {
                assert_eq!(error.offset, at);
                at = bytes.len();
            }
        }
    }
    assert_eq!(at, bytes.len(), "nothing is left out");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let table = [
        "820239009F2608112233445566778800009F360200349F1A020840",
        "01000F820239009F260811223344556677886800059F6E020102",
        "5A0841111111111111119F8101020102DF8101820003010203840181AA",
        "9F26",
        "010005",
    ];
    table.iter().map(|hex| hex_bytes(hex.as_bytes()).expect("hex")).collect()
}

fn tags(content: &[u8]) {
    let mut found: Vec<(u32, &[u8])> = Vec::new();
    let mut at = 0;
    for tag in tlv::tags(content) {
        match tag {
            Ok(tag) => {
                assert!(tag.offset >= at && tag.offset + 2 + tag.value.len() <= content.len());
                assert!(content[at..tag.offset].iter().all(|byte| *byte == 0), "only zeros are passed over");
                let end = tag.value.as_ptr_range().end;
                at = end as usize - content.as_ptr() as usize;
                found.push((tag.tag, tag.value));
            }
            Err(error) => {
                assert!(error.offset >= at && error.offset < content.len());
                at = content.len();
            }
        }
    }
    assert!(content[at..].iter().all(|byte| *byte == 0), "only zeros are left");
    for (tag, _) in &found {
        let first = found.iter().find(|(known, _)| known == tag).map(|(_, value)| *value);
        assert_eq!(tlv::find(content, *tag), first, "tag {tag:X}");
    }
    for tag in [0x9f26, 0x82, 0xdf_8101] {
        let known = found.iter().any(|(known, _)| *known == tag);
        assert_eq!(tlv::find(content, tag).is_some(), known, "tag {tag:X}");
    }
}
