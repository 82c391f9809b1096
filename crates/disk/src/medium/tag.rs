//! The tag of a medium: where its parts are. A stranger's, when it is read. The initrd's helper, which uses none of the disk's crates, has a reader of its
//! own (`stage1/init/medium/tag.rs`); each medium that the scenarios boot holds the two together.

use super::{PAGE, SPARE, TAG};
use crate::source::Source;

/// What it begins with.
const MAGIC: &str = "CAIRN MEDIUM 1\n";

/// Where a medium has its parts, in bytes: offset and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The root of the payload's hashes in hexadecimal: the medium's own name.
    pub root_hash: String,
    /// The payload.
    pub payload: (u64, u64),
    /// Its hashes.
    pub hashes: (u64, u64),
    /// The place for answers.
    pub spare: (u64, u64),
}

impl Tag {
    /// The text.
    pub(super) fn text(&self) -> String {
        let Tag { root_hash, payload, hashes, spare } = self;
        format!(
            "{MAGIC}root-hash {root_hash}\npayload {} {}\nhashes {} {}\nspare {} {}\n",
            payload.0, payload.1, hashes.0, hashes.1, spare.0, spare.1
        )
    }

    /// Reads that of a medium; `None` for what is no medium, or one whose parts are not within it.
    ///
    /// # Errors
    /// What reading meets.
    pub fn read(medium: &dyn Source) -> std::io::Result<Option<Tag>> {
        if medium.len() < TAG + PAGE {
            return Ok(None);
        }
        let mut bytes = [0; PAGE as usize];
        medium.read_at(TAG, &mut bytes)?;
        Ok(parse(&bytes, medium.len()))
    }
}

fn parse(bytes: &[u8], len: u64) -> Option<Tag> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = text.strip_prefix(MAGIC)?.lines().filter_map(|line| line.split_once(' '));
    let mut next = |name: &str| lines.next().filter(|(key, _)| *key == name).map(|(_, value)| value);
    let part = |value: &str| -> Option<(u64, u64)> {
        let (offset, length) = value.split_once(' ')?;
        let (offset, length): (u64, u64) = (offset.parse().ok()?, length.parse().ok()?);
        let within = offset.checked_add(length)? <= len && offset > TAG && length > 0;
        (within && offset.is_multiple_of(PAGE) && length.is_multiple_of(PAGE)).then_some((offset, length))
    };
    let root_hash = next("root-hash").filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let tag = Tag {
        root_hash: root_hash.into(),
        payload: part(next("payload")?)?,
        hashes: part(next("hashes")?)?,
        spare: part(next("spare")?)?,
    };
    (tag.spare.1 == SPARE).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_of_the_medium_is_no_part_of_it() {
        let tag = Tag {
            root_hash: "ab".repeat(32),
            payload: (1 << 20, 8192),
            hashes: ((1 << 20) + 8192, 4096),
            spare: (2 << 20, SPARE),
        };
        let len = (2 << 20) + SPARE;
        let read = |tag: &Tag, len| {
            let mut bytes = tag.text().into_bytes();
            bytes.resize(PAGE as usize, 0);
            parse(&bytes, len)
        };
        assert_eq!(read(&tag, len), Some(tag.clone()));
        assert_eq!(read(&tag, len - 1), None);
        for part in [(u64::MAX - 4095, 8192), (0, 4096), (5 << 20, 0), (100, 4096), (1 << 20, 100)] {
            assert_eq!(read(&Tag { payload: part, ..tag.clone() }, len), None, "{part:?}");
        }
        assert_eq!(read(&Tag { spare: (2 << 20, 4096), ..tag.clone() }, len), None);
        assert_eq!(read(&Tag { root_hash: "x".repeat(64), ..tag.clone() }, len), None);
        assert_eq!(parse(&[b'C'; 4096], len), None);
        assert_eq!(parse(b"CAIRN MEDIUM 1\nroot-hash ab\0", len), None);
    }
}
