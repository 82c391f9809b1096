//! Reads all of the medium through dm-verity, which lets nothing through that is not as it was written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::console::{Percent, ask_for_enter};
use super::tag::{BLOCK, Tag};
use super::tell;
use crate::error::{Context, Error};

const PIECE: u64 = 1 << 20;

/// Checks the payload behind `device`. When it is whole, somebody has to say that the boot may go on.
///
/// # Errors
/// When it is damaged: where.
pub fn run(device: &Path, tag: &Tag) -> Result<(), Error> {
    tell("checking the medium");
    let file = File::open(device).with_context(|| format!("opening {}", device.display()))?;
    let mut percent = Percent::new("checked", tag.payload.length);
    let read = |buffer: &mut [u8], at| file.read_exact_at(buffer, at);
    match first_damage(read, tag.payload.length, &mut |done| percent.at(done)) {
        None => {
            tell("the medium is whole: every byte that is read from it is as it was written");
            ask_for_enter();
            Ok(())
        }
        Some(at) => Err(Error::new(format!(
            "checking the medium: it cannot be read, or is not as it was written, at byte {} of {}",
            tag.payload.offset + at,
            tag.end()
        ))),
    }
}

/// The beginning of the first block that cannot be read.
fn first_damage(
    read: impl Fn(&mut [u8], u64) -> std::io::Result<()>,
    length: u64,
    done: &mut dyn FnMut(u64),
) -> Option<u64> {
    let mut buffer = vec![0; usize::try_from(PIECE).unwrap_or_default()];
    let mut at = 0;
    while at < length {
        let piece = PIECE.min(length - at);
        let bytes = &mut buffer[..usize::try_from(piece).unwrap_or_default()];
        if read(bytes, at).is_err() {
            let block = &mut bytes[..usize::try_from(BLOCK).unwrap_or_default()];
            let mut blocks = (at..at + piece).step_by(usize::try_from(BLOCK).unwrap_or_default());
            // If each of them can be read now, the connection is bad.
            return Some(blocks.find(|at| read(block, *at).is_err()).unwrap_or(at));
        }
        at += piece;
        done(at);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_that_is_damaged_is_told() {
        let length = 5 * PIECE + 3 * BLOCK;
        for damaged in [None, Some(0), Some(BLOCK), Some(3 * PIECE + 17 * BLOCK), Some(length - BLOCK)] {
            let read = |buffer: &mut [u8], at: u64| {
                let hit = damaged.is_some_and(|damaged| (at..at + buffer.len() as u64).contains(&damaged));
                if hit { Err(std::io::ErrorKind::Other.into()) } else { Ok(()) }
            };
            let mut last = 0;
            assert_eq!(first_damage(read, length, &mut |done| last = done), damaged);
            assert_eq!(last == length, damaged.is_none());
        }
    }
}
