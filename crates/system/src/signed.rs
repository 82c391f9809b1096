//! Whether somebody has signed an EFI program, such as a kernel: a table at the end of the file says so (PE's certificate table, with
//! Authenticode in it). By whom, and whether it is true, the firmware decides.

/// Where the parts of a PE file are: the offset of its header, and in it those of the optional header and of the directories in that.
const HEADER_AT: usize = 0x3c;
const OPTIONAL: usize = 24;
/// The certificate table's number among the directories.
const CERTIFICATES: usize = 4;
/// A certificate's own header: its length, the version of its form, and its kind.
const CERTIFICATE: usize = 8;
const VERSION_2: u16 = 0x0200;
const SIGNED_DATA: u16 = 0x0002;

/// Whether the program has a signature.
pub fn is_signed(program: &[u8]) -> bool {
    signature(program).is_some()
}

/// The first signature: what is in it, without its header.
fn signature(program: &[u8]) -> Option<&[u8]> {
    let mut table = table(program)?;
    loop {
        let length = usize::try_from(number(table, 0)?).ok()?;
        let (version, kind) = (half(table, 4)?, half(table, 6)?);
        let data = table.get(CERTIFICATE..length).filter(|data| !data.is_empty())?;
        if (version, kind) == (VERSION_2, SIGNED_DATA) {
            return Some(data);
        }
        table = table.get(length.checked_next_multiple_of(CERTIFICATE)?..)?;
    }
}

/// The certificate table. It is the one directory that is found by its place in the file, and not in memory.
fn table(program: &[u8]) -> Option<&[u8]> {
    if program.get(..2)? != b"MZ" {
        return None;
    }
    let header = program.get(usize::try_from(number(program, HEADER_AT)?).ok()?..)?;
    if header.get(..4)? != b"PE\0\0" {
        return None;
    }
    let optional = header.get(OPTIONAL..)?.get(..half(header, 20)?.into())?;
    let (count_at, directories) = match half(optional, 0)? {
        0x10b => (92, 96),
        0x20b => (108, 112),
        _ => return None,
    };
    if usize::try_from(number(optional, count_at)?).ok()? <= CERTIFICATES {
        return None;
    }
    let at = directories + CERTIFICATES * 8;
    let (offset, size) = (number(optional, at)?, number(optional, at + 4)?);
    program.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(size).ok()?)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of headers alone, with these certificates.
    fn program(magic: u16, directories: u32, certificates: &[u8]) -> Vec<u8> {
        let start = if magic == 0x20b { 112 } else { 96 };
        let mut bytes = vec![0; 0x40 + OPTIONAL + start + 16 * 8];
        let optional = 0x40 + OPTIONAL;
        let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
        put(0, b"MZ");
        put(HEADER_AT, &0x40_u32.to_le_bytes());
        put(0x40, b"PE\0\0");
        put(0x40 + 20, &(u16::try_from(start).unwrap() + 128).to_le_bytes());
        put(optional, &magic.to_le_bytes());
        put(optional + start - 4, &directories.to_le_bytes());
        let end = u32::try_from(optional + start + 128).unwrap();
        put(optional + start + 32, &end.to_le_bytes());
        put(optional + start + 36, &u32::try_from(certificates.len()).unwrap().to_le_bytes());
        [bytes, certificates.to_vec()].concat()
    }

    fn certificate(length: u32, kind: u16, data: &[u8]) -> Vec<u8> {
        [&length.to_le_bytes()[..], &VERSION_2.to_le_bytes(), &kind.to_le_bytes(), data].concat()
    }

    #[test]
    fn a_program_with_a_certificate_is_signed_and_one_without_is_not() {
        let one = certificate(16, SIGNED_DATA, &[0x30; 8]);
        for magic in [0x10b, 0x20b] {
            assert_eq!(signature(&program(magic, 6, &one)), Some(&[0x30; 8][..]));
            assert!(!is_signed(&program(magic, 6, &[])));
            // There is no such directory, whatever is where it would be.
            assert!(!is_signed(&program(magic, 4, &one)));
        }
        assert!(!is_signed(&program(0x30b, 6, &one)));
        // Another kind before it, whose length is rounded up.
        let two = [certificate(11, 1, &[1, 2, 3, 0, 0, 0, 0, 0]), one.clone()].concat();
        assert!(is_signed(&program(0x20b, 6, &two)));
        assert!(!is_signed(&program(0x20b, 6, &two[..16])));
    }

    #[test]
    fn what_is_cut_off_or_lies_is_not_signed() {
        let whole = program(0x20b, 6, &certificate(16, SIGNED_DATA, &[0x30; 8]));
        for len in 0..whole.len() {
            assert!(!is_signed(&whole[..len]), "{len}");
        }
        for length in [0, 7, 8, 17, u32::MAX] {
            assert!(!is_signed(&program(0x20b, 6, &certificate(length, SIGNED_DATA, &[0x30; 8]))), "{length}");
        }
        for header in [u32::MAX, u32::MAX - 3, 0x41] {
            let mut other = whole.clone();
            other[HEADER_AT..HEADER_AT + 4].copy_from_slice(&header.to_le_bytes());
            assert!(!is_signed(&other), "{header}");
        }
        assert!(!is_signed(b"#!/bin/sh\n") && !is_signed(b""));
    }
}
