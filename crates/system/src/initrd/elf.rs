//! Which libraries a program needs: the DT_NEEDED entries of an ELF file (System V ABI, chapter 5). Pure.

/// What the dynamic loader must find for a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Names of libraries.
    pub libraries: Vec<String>,
    /// Folders to look in first (DT_RUNPATH).
    pub folders: Vec<String>,
    /// The path of the dynamic loader.
    pub interpreter: Option<String>,
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads the needs of a 64-bit little-endian ELF file; `None` for what is none. A static program needs nothing.
pub fn needs(file: &[u8]) -> Option<Needs> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let headers = u64_at(file, 0x20)? as usize;
    let (size, count) = (u16_at(file, 0x36)? as usize, u16_at(file, 0x38)? as usize);
    let mut needs = Needs::default();
    let mut loads = Vec::new();
    let mut dynamic: &[u8] = &[];
    for i in 0..count {
        let at = headers.checked_add(i.checked_mul(size)?)?;
        let kind = u64_at(file, at)? & 0xffff_ffff;
        let (offset, address) = (u64_at(file, at + 8)? as usize, u64_at(file, at + 16)?);
        let length = u64_at(file, at + 32)? as usize;
        let contents = || file.get(offset..offset.checked_add(length)?);
        match kind {
            PT_LOAD => loads.push((address, length as u64, offset)),
            PT_DYNAMIC => dynamic = contents()?,
            PT_INTERP => needs.interpreter = Some(string(contents()?, 0)?),
            _ => {}
        }
    }
    let pairs = || dynamic.chunks_exact(16).filter_map(|c| Some((u64_at(c, 0)?, u64_at(c, 8)?)));
    let Some((_, table)) = pairs().find(|p| p.0 == DT_STRTAB) else { return Some(needs) };
    let (address, _, offset) = loads.iter().find(|l| (l.0..l.0.saturating_add(l.1)).contains(&table))?;
    let strings = file.get(offset + (table - address) as usize..)?;
    for (tag, value) in pairs() {
        match tag {
            DT_NEEDED => needs.libraries.push(string(strings, value as usize)?),
            DT_RUNPATH | DT_RPATH => {
                needs.folders.extend(string(strings, value as usize)?.split(':').map(str::to_string));
            }
            _ => {}
        }
    }
    Some(needs)
}

fn string(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_needs_the_c_library() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&own).unwrap();
        assert!(needs.libraries.iter().any(|l| l == "libc.so.6"), "{needs:?}");
        assert!(needs.interpreter.is_some());
    }

    #[test]
    fn damage_and_other_files_are_no_needs_and_no_panic() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        for length in [0, 5, 6, 40, 64, 100, 700] {
            let _ = needs(&own[..length]);
        }
        let mut bad = own[..4096].to_vec();
        for at in 0..256 {
            bad[at] ^= 0xff;
            let _ = needs(&bad);
            bad[at] ^= 0xff;
        }
    }
}
