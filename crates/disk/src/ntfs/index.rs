//! The way through a folder's index, a tree that is ordered by names, to one name.

use std::cmp::Ordering;

use super::record::{mended, text, u16_at, u32_at, u64_at};
use super::{Volume, number_in};

/// A folder's index has this name, and its attributes these types: the top of the tree, and the blocks below it.
const NAME: &str = "$I30";
const TOP: u32 = 0x90;
const BLOCKS: u32 = 0xa0;
/// The header of a block, and behind it that of its entries.
const BLOCK_HEADER: usize = 24;
/// No tree is deeper, and no block larger.
const DEEPEST: usize = 16;
const LARGEST: u64 = 64 << 10;
/// In an entry's flags: it leads on to another block; it is the last one, which has no name.
const LEADS_ON: u16 = 1;
const LAST: u16 = 2;

/// What is found in the entries of one block.
enum Found {
    Number(u64),
    /// In the block of this number, if at all.
    Below(u64),
}

/// The number of the record that has this name, in capitals, in a folder.
pub fn find(volume: &Volume<'_>, folder: u64, name: &str) -> Option<u64> {
    let top = volume.attribute(folder, TOP, NAME)?;
    let top = top.resident()?;
    let size = u64::from(u32_at(top, 8));
    if !size.is_power_of_two() || !(512..=LARGEST).contains(&size) {
        return None;
    }
    // Blocks are counted in clusters, or in sectors where several blocks are in one cluster.
    let unit = if size < volume.cluster { 512 } else { volume.cluster };
    let mut found = among(top.get(16..)?, name)?;
    for _ in 0..DEEPEST {
        let number = match found {
            Found::Number(number) => return Some(number),
            Found::Below(number) => number,
        };
        let mut block = vec![0; usize::try_from(size).ok()?];
        let blocks = volume.attribute(folder, BLOCKS, NAME)?.runs()?;
        volume.read(&blocks, number.checked_mul(unit)?, &mut block)?;
        found = among(mended(block, b"INDX")?.get(BLOCK_HEADER..)?, name)?;
    }
    None
}

/// Looks in the entries behind a header.
fn among(node: &[u8], name: &str) -> Option<Found> {
    let end = usize::try_from(u32_at(node, 4)).ok()?;
    let mut rest = node.get(usize::try_from(u32_at(node, 0)).ok()?..end)?;
    loop {
        let (len, flags) = (usize::from(u16_at(rest, 8)), u16_at(rest, 12));
        let entry = rest.get(..len).filter(|entry| entry.len() >= 16)?;
        let order = if flags & LAST == 0 { compared(entry, name)? } else { Ordering::Greater };
        match order {
            Ordering::Equal => return Some(Found::Number(number_in(u64_at(entry, 0)))),
            Ordering::Greater if flags & LEADS_ON != 0 => {
                return Some(Found::Below(u64_at(entry, len.checked_sub(8).filter(|at| *at >= 16)?)));
            }
            Ordering::Greater => return None,
            Ordering::Less => rest = &rest[len..],
        }
    }
}

/// How the name of an entry stands to this one. Both are in capitals for that, of which those of ASCII suffice: where another letter stands,
/// it is greater than any of ours either way.
fn compared(entry: &[u8], name: &str) -> Option<Ordering> {
    let len = usize::from(*entry.get(16 + 64)?);
    let units = text(entry, 16 + 66, len)?;
    let capital = |unit: u16| u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_uppercase()));
    Some(units.map(capital).cmp(name.encode_utf16()))
}
