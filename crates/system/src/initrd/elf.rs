//! Which libraries a program needs and in which versions: the DT_NEEDED, DT_VERNEED and DT_VERDEF entries of an ELF
//! file (System V ABI, chapter 5; Linux Standard Base, "Symbol Versioning"); and the contents of a section by its name. Pure.

use std::collections::BTreeSet;

/// What the dynamic loader must find for a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Names of libraries.
    pub libraries: Vec<String>,
    /// Folders to look in first (DT_RUNPATH).
    pub folders: Vec<String>,
    /// The path of the dynamic loader.
    pub interpreter: Option<String>,
    /// Versions without which it is not started, each after its library: `("libc.so.6", "GLIBC_2.34")`.
    pub versions: Vec<(String, String)>,
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERNEED: u64 = 0x6fff_fffe;
const VER_FLG_WEAK: u16 = 2;

/// More libraries and versions no program needs or provides: the C library itself has some fifty. Chains can lead into each other.
const MOST_NAMES: usize = 10_000;
/// Longer names and paths are nobody's.
const LONGEST: usize = 4096;

/// The machine that a file is for, as its header has it (62: x86-64).
pub fn machine(file: &[u8]) -> Option<u16> {
    (file.get(..6)? == b"\x7fELF\x02\x01").then(|| u16_at(file, 0x12)).flatten()
}

/// Reads the needs of a 64-bit little-endian ELF file; `None` for what is none. A static program needs nothing.
pub fn needs(file: &[u8]) -> Option<Needs> {
    let dynamic = Dynamic::read(file)?;
    let mut needs = Needs { interpreter: dynamic.interpreter.clone(), ..Needs::default() };
    let Some(strings) = dynamic.table(DT_STRTAB) else { return Some(needs) };
    let mut left = MOST_NAMES;
    for (tag, value) in &dynamic.pairs {
        if let DT_NEEDED | DT_RUNPATH | DT_RPATH = *tag {
            left = left.checked_sub(1)?;
        }
        match *tag {
            DT_NEEDED => needs.libraries.push(string(strings, *value as usize)?),
            DT_RUNPATH | DT_RPATH => {
                needs.folders.extend(string(strings, *value as usize)?.split(':').map(str::to_string));
            }
            _ => {}
        }
    }
    if let Some(table) = dynamic.table(DT_VERNEED) {
        // Each library has a chain of versions.
        for of_library in chain(table, 12) {
            left = left.checked_sub(1)?;
            let library = string(strings, u32_at(of_library, 4)? as usize)?;
            for version in chain(of_library.get(u32_at(of_library, 8)? as usize..)?, 12) {
                left = left.checked_sub(1)?;
                if u16_at(version, 4)? & VER_FLG_WEAK == 0 {
                    needs.versions.push((library.clone(), string(strings, u32_at(version, 8)? as usize)?));
                }
            }
        }
    }
    Some(needs)
}

/// The versions that a library provides; `None` for what is no 64-bit little-endian ELF file.
pub fn provides(file: &[u8]) -> Option<BTreeSet<String>> {
    let dynamic = Dynamic::read(file)?;
    let mut versions = BTreeSet::new();
    if let (Some(strings), Some(table)) = (dynamic.table(DT_STRTAB), dynamic.table(DT_VERDEF)) {
        for definition in chain(table, 16).take(MOST_NAMES) {
            let name = definition.get(u32_at(definition, 12)? as usize..)?;
            versions.insert(string(strings, u32_at(name, 0)? as usize)?);
        }
    }
    Some(versions)
}

/// The contents of the first section of this name; `None` for what is no 64-bit little-endian ELF file or has no such section.
pub fn section<'a>(file: &'a [u8], name: &str) -> Option<&'a [u8]> {
    machine(file)?;
    let headers = u64_at(file, 0x28)? as usize;
    let size = u16_at(file, 0x3a)? as usize;
    let header = |i: u16| file.get(headers.checked_add(usize::from(i).checked_mul(size)?)?..);
    let contents = |header: &[u8]| {
        let (offset, length) = (u64_at(header, 24)? as usize, u64_at(header, 32)? as usize);
        file.get(offset..offset.checked_add(length)?)
    };
    let names = contents(header(u16_at(file, 0x3e)?)?)?;
    let called =
        |header: &&[u8]| u32_at(header, 0).and_then(|at| string(names, at as usize)).is_some_and(|n| n == name);
    (0..u16_at(file, 0x3c)?).filter_map(header).find(called).and_then(contents)
}

/// A chain of records, each of which says at `next` how far it is to the one after it; 0 ends the chain.
fn chain(table: &[u8], next: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(table), move |record| match u32_at(record, next)? {
        0 => None,
        step => record.get(step as usize..),
    })
}

/// What the dynamic loader reads of a file.
struct Dynamic<'a> {
    file: &'a [u8],
    /// Address, length and place in the file of what is loaded.
    loads: Vec<(u64, u64, usize)>,
    pairs: Vec<(u64, u64)>,
    interpreter: Option<String>,
}

impl<'a> Dynamic<'a> {
    fn read(file: &'a [u8]) -> Option<Dynamic<'a>> {
        machine(file)?;
        let headers = u64_at(file, 0x20)? as usize;
        let (size, count) = (u16_at(file, 0x36)? as usize, u16_at(file, 0x38)? as usize);
        let mut dynamic = Dynamic { file, loads: Vec::new(), pairs: Vec::new(), interpreter: None };
        for i in 0..count {
            let at = headers.checked_add(i.checked_mul(size)?)?;
            let kind = u64_at(file, at)? & 0xffff_ffff;
            let (offset, address) = (u64_at(file, at + 8)? as usize, u64_at(file, at + 16)?);
            let length = u64_at(file, at + 32)? as usize;
            let contents = || file.get(offset..offset.checked_add(length)?);
            match kind {
                PT_LOAD => dynamic.loads.push((address, length as u64, offset)),
                // There is one, whatever the headers say: they may all be the same one.
                PT_DYNAMIC if dynamic.pairs.is_empty() => {
                    let pair = |c: &[u8]| Some((u64_at(c, 0)?, u64_at(c, 8)?));
                    dynamic.pairs = contents()?.chunks_exact(16).filter_map(pair).collect();
                }
                PT_INTERP => dynamic.interpreter = Some(string(contents()?, 0)?),
                _ => {}
            }
        }
        Some(dynamic)
    }

    /// The file from where the table begins that an entry gives the address of.
    fn table(&self, tag: u64) -> Option<&'a [u8]> {
        let (_, table) = self.pairs.iter().find(|p| p.0 == tag)?;
        let (address, _, offset) = self.loads.iter().find(|l| (l.0..l.0.saturating_add(l.1)).contains(table))?;
        self.file.get(offset.checked_add((table - address) as usize)?..)
    }
}

fn string(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().take(LONGEST + 1).position(|b| *b == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
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
        assert_eq!(machine(&own), Some(62));
        let interpreter = section(&own, ".interp").unwrap();
        assert_eq!(string(interpreter, 0), needs.interpreter);
        assert_eq!(section(&own, ".no-such-section"), None);
        let loaded = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = loaded.lines().find_map(|l| l.find('/').map(|at| &l[at..]).filter(|p| p.ends_with("/libc.so.6")));
        let provided = provides(&std::fs::read(libc.expect("the C library is loaded")).unwrap()).unwrap();
        let wanted: Vec<&String> = needs.versions.iter().filter(|v| v.0 == "libc.so.6").map(|v| &v.1).collect();
        assert!(wanted.iter().any(|v| v.starts_with("GLIBC_2.")), "{wanted:?}");
        // It runs, so what it wants is there.
        assert!(wanted.iter().all(|v| provided.contains(*v)), "{wanted:?} {provided:?}");
    }

    /// A file whose dynamic section is these pairs, and whose tables and strings are `rest`, at address and offset 4096.
    fn file(pairs: &[(u64, u64)], headers: u16, rest: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01");
        put(0x20, &64_u64.to_le_bytes());
        put(0x36, &56_u16.to_le_bytes());
        put(0x38, &headers.to_le_bytes());
        let segments = [(PT_LOAD, 4096, rest.len()), (PT_DYNAMIC, 1024, pairs.len() * 16)];
        for (at, (kind, place, length)) in (64..).step_by(56).zip(segments) {
            put(at, &kind.to_le_bytes());
            put(at + 8, &u64::to_le_bytes(place));
            put(at + 16, &u64::to_le_bytes(place));
            put(at + 32, &(length as u64).to_le_bytes());
        }
        for (at, (tag, value)) in (1024..).step_by(16).zip(pairs) {
            put(at, &tag.to_le_bytes());
            put(at + 8, &value.to_le_bytes());
        }
        file.extend(rest);
        file
    }

    #[test]
    fn chains_that_lead_into_each_other_come_to_an_end() {
        let named = |name: usize, rest: &[u8]| {
            let strings = [&vec![b'x'; name][..], b"\0", rest].concat();
            let table = 4096 + name as u64 + 1;
            needs(&file(&[(DT_STRTAB, 4096), (DT_NEEDED, 0), (DT_VERNEED, table)], 2, &strings))
        };
        // One library with one version.
        let one = [[0; 4], [0; 4], 16_u32.to_le_bytes(), [0; 4], [0; 4], [0; 4], [0; 4], [0; 4]].concat();
        let found =
            needs(&file(&[(DT_STRTAB, 4096), (DT_NEEDED, 1), (DT_VERNEED, 4099)], 2, &[b"ab\0", &one[..]].concat()));
        let found = found.unwrap();
        assert_eq!((found.libraries, found.versions), (vec!["b".to_string()], vec![("ab".into(), "ab".into())]));
        // Each record is a byte behind the one before, whichever chain it is in.
        assert_eq!(named(10, &1_u32.to_be_bytes().repeat(300_000)), None);
        assert_eq!(named(10, &1_u32.to_le_bytes().repeat(300_000)), None);
        // A library's name that does not end.
        assert_eq!(named(LONGEST + 1, &[]), None);
        // Sixty thousand headers of one section, at the place of the second.
        let mut many = file(&[(DT_NEEDED, 4096); 150], u16::MAX, &[0; 100]);
        many[0x20..0x28].copy_from_slice(&120_u64.to_le_bytes());
        many[0x36..0x38].fill(0);
        assert!(needs(&many).is_some_and(|needs| needs.libraries.is_empty()));
    }

    #[test]
    fn damage_and_other_files_are_no_needs_and_no_panic() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        for length in [0, 5, 6, 40, 64, 100, 700] {
            let _ = (needs(&own[..length]), provides(&own[..length]), section(&own[..length], ".text"));
        }
        let mut bad = own[..4096].to_vec();
        for at in 0..256 {
            bad[at] ^= 0xff;
            let _ = (needs(&bad), provides(&bad), section(&bad, ".text"));
            bad[at] ^= 0xff;
        }
    }
}
