//! The tag by which an installation medium is known: a text at a fixed place, so that one look at any device says whether it is
//! one, without a file system or a partition table. Pure: a stranger's bytes in, places that have been checked out.

use crate::error::Error;

/// Where the tag is on a medium, in bytes: behind the volume descriptors of ISO 9660, before what a BIOS starts.
pub const OFFSET: u64 = 61_440;
/// How long it is; behind the text are zeros.
pub const LENGTH: usize = 4096;
/// The bytes of a block. Every place on a medium begins and ends with one.
pub const BLOCK: u64 = 4096;
/// What every tag begins with, of whatever version.
const NAME: &str = "CAIRN MEDIUM ";
/// The version that is known here.
const VERSION: &str = "1";
/// Characters of a root hash (SHA-256).
const HASH_LENGTH: usize = 64;

/// A piece of a medium, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl Extent {
    /// Where it ends. That no sum overflows has been checked when it was read.
    #[must_use]
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    fn apart(self, other: Extent) -> bool {
        self.end() <= other.offset || other.end() <= self.offset
    }
}

/// What a tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The root of the tree of hashes, in hexadecimal: by it the medium is known, and all of the payload.
    pub root_hash: String,
    /// The file system with the system.
    pub payload: Extent,
    /// The payload's tree of hashes, directly behind it.
    pub hashes: Extent,
    /// A FAT file system for answers and logs.
    pub spare: Extent,
}

impl Tag {
    /// Reads a tag; `None` where there is none.
    ///
    /// # Errors
    /// When there is one that is damaged or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Option<Tag>, Error> {
        let Some(rest) = bytes.strip_prefix(NAME.as_bytes()) else { return Ok(None) };
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let (text, padding) = rest.split_at(end);
        let damaged = || Error::new("its tag is damaged");
        let text = std::str::from_utf8(text).map_err(|_| damaged())?;
        let (version, lines) = text.split_once('\n').ok_or_else(damaged)?;
        if version != VERSION {
            return Err(Error::new("it is a medium of another version of Cairn"));
        }
        let tag = read(lines).filter(Tag::is_sound).filter(|_| padding.iter().all(|byte| *byte == 0));
        tag.map(Some).ok_or_else(damaged)
    }

    fn is_sound(&self) -> bool {
        let Tag { root_hash, payload, hashes, spare } = self;
        let all = [*payload, *hashes, *spare];
        let behind = OFFSET + LENGTH as u64;
        is_root_hash(root_hash)
            && all.iter().all(|it| it.offset >= behind && it.offset.checked_add(it.length).is_some())
            && all.iter().all(|it| it.offset % BLOCK == 0 && it.length % BLOCK == 0)
            && payload.length > 0
            && hashes.offset == payload.end()
            && spare.apart(*payload)
            && spare.apart(*hashes)
    }

    /// The payload and its hashes: what must be read to boot.
    #[must_use]
    pub fn verified(&self) -> Extent {
        Extent { offset: self.payload.offset, length: self.hashes.end() - self.payload.offset }
    }

    /// How long a medium is at least that has all of this.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.hashes.end().max(self.spare.end())
    }

    /// The table of dm-verity for a device on which [`Tag::verified`] begins at its first byte (the kernel's
    /// `Documentation/admin-guide/device-mapper/verity.rst`).
    #[must_use]
    pub fn table(&self, device: &str) -> String {
        let (sectors, blocks) = (self.payload.length / 512, self.payload.length / BLOCK);
        format!("0 {sectors} verity 1 {device} {device} {BLOCK} {BLOCK} {blocks} {blocks} sha256 {} -", self.root_hash)
    }
}

/// True for 64 digits of hexadecimal, in lower case.
#[must_use]
pub fn is_root_hash(text: &str) -> bool {
    text.len() == HASH_LENGTH && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

fn read(lines: &str) -> Option<Tag> {
    let mut lines = lines.strip_suffix('\n')?.split('\n');
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let tag = Tag {
        root_hash: value("root-hash")?.into(),
        payload: extent(value("payload")?)?,
        hashes: extent(value("hashes")?)?,
        spare: extent(value("spare")?)?,
    };
    lines.next().is_none().then_some(tag)
}

fn extent(text: &str) -> Option<Extent> {
    let (offset, length) = text.split_once(' ')?;
    Some(Extent { offset: number(offset)?, length: number(length)? })
}

/// Digits only: Rust's own reader takes a sign too.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn padded(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(LENGTH, 0);
        bytes
    }

    fn tag(payload: &str, hashes: &str, spare: &str) -> Vec<u8> {
        padded(&format!("CAIRN MEDIUM 1\nroot-hash {HASH}\npayload {payload}\nhashes {hashes}\nspare {spare}\n"))
    }

    fn good() -> Vec<u8> {
        tag("1048576 8192", "1056768 4096", "1060864 65536")
    }

    #[test]
    fn what_was_written_is_read() {
        let tag = Tag::parse(&good()).unwrap().unwrap();
        assert_eq!(tag.root_hash, HASH);
        assert_eq!(tag.payload, Extent { offset: 1 << 20, length: 8192 });
        assert_eq!(tag.verified(), Extent { offset: 1 << 20, length: 12288 });
        assert_eq!(tag.end(), 1_126_400);
        assert_eq!(
            tag.table("/dev/loop0"),
            format!("0 16 verity 1 /dev/loop0 /dev/loop0 4096 4096 2 2 sha256 {HASH} -")
        );
    }

    #[test]
    fn a_device_without_a_tag_is_no_medium() {
        for none in [&[][..], &[0; LENGTH], b"CAIRN", &[0xff; LENGTH], &padded("cairn medium 1\n")] {
            assert_eq!(Tag::parse(none).unwrap(), None);
        }
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        let most = u64::MAX / BLOCK * BLOCK;
        for [payload, hashes, spare] in [
            // Beyond all numbers, in the sum or by itself.
            ["1048576 18446744073709551616", "1056768 4096", "1060864 65536"],
            [&format!("{most} 4096"), "0 4096", "1060864 65536"],
            [&format!("1048576 {}", most - (1 << 20)), &format!("{most} 4096"), "65536 4096"],
            ["1048576 8192", "1056768 4096", &format!("{most} {most}")],
            // On the tag, on the partition table, one on the other, apart where there must be nothing between.
            ["61440 8192", "69632 4096", "1060864 65536"],
            ["0 8192", "8192 4096", "1060864 65536"],
            ["1048576 8192", "1056768 4096", "0 4096"],
            ["1048576 8192", "1056768 4096", "1056768 65536"],
            ["1048576 8192", "1056768 4096", "983040 131072"],
            ["1048576 8192", "1060864 4096", "1064960 65536"],
            // Not in blocks; nothing at all.
            ["1048577 8192", "1056769 4096", "1060864 65536"],
            ["1048576 8191", "1056767 4096", "1060864 65536"],
            ["1048576 0", "1048576 4096", "1060864 65536"],
            // No numbers.
            ["+1048576 8192", "1056768 4096", "1060864 65536"],
            ["-1048576 8192", "1056768 4096", "1060864 65536"],
            ["0x100000 8192", "1056768 4096", "1060864 65536"],
            ["1048576  8192", "1056768 4096", "1060864 65536"],
            ["1048576", "1056768 4096", "1060864 65536"],
            ["", "1056768 4096", "1060864 65536"],
        ] {
            assert!(Tag::parse(&tag(payload, hashes, spare)).is_err(), "{payload}, {hashes}, {spare}");
        }
    }

    #[test]
    fn a_text_that_is_not_the_whole_text_is_refused() {
        let text = String::from_utf8(good()).unwrap();
        let text = text.trim_end_matches('\0');
        for wrong in [
            text.replace(HASH, &HASH.to_uppercase()),
            text.replace(HASH, &HASH[1..]),
            text.replace("spare", "spared"),
            text.replace("hashes", "payload"),
            text.trim_end().to_string(),
            format!("{text}more 1\n"),
            format!("{text}\n"),
            format!("{text}\0x"),
            text.replace("MEDIUM 1", "MEDIUM 2"),
            text.replace("MEDIUM 1", "MEDIUM "),
            text.replace("MEDIUM 1\n", "MEDIUM 1 "),
            text.replace('\n', "\r\n"),
        ] {
            assert!(Tag::parse(&padded(&wrong)).is_err(), "{wrong:?}");
        }
        // Whatever is cut off, there is an answer.
        (0..text.len()).for_each(|end| assert!(!matches!(Tag::parse(&text.as_bytes()[..end]), Ok(Some(_)))));
        assert!(Tag::parse(b"CAIRN MEDIUM 1\n\xff\xfe").is_err());
    }
}
