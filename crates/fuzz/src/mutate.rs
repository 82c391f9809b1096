//! Changes to an input, the same for the same numbers: for runs without a guide.

use crate::numbers::Numbers;

/// Numbers at which readers go wrong, as bytes.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Changes `input`, which stays at most `most` bytes long. `others` are inputs to take pieces of, `words` are what the format's
/// files are full of.
pub fn mutate(input: &mut Vec<u8>, most: usize, others: &[Vec<u8>], words: &[&str], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        match numbers.below(10) {
            0 => flip(input, at, numbers),
            1 => put(input, at, &[u8::try_from(numbers.below(256)).unwrap_or_default()], false),
            2 | 3 => {
                let edge = EDGES[numbers.below(EDGES.len())];
                let width = 1 << numbers.below(4);
                let bytes = if numbers.below(2) == 0 { edge.to_le_bytes() } else { edge.swap_bytes().to_le_bytes() };
                let bytes = if numbers.below(2) == 0 { &bytes[..width] } else { &bytes[8 - width..] };
                put(input, at, bytes, numbers.below(4) == 0);
            }
            4 => {
                let end = (at + 1 + numbers.below(64)).min(input.len());
                input.drain(at.min(end)..end);
            }
            5 => {
                let end = (at + 1 + numbers.below(64)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                let to = numbers.below(input.len() + 1);
                for _ in 0..=numbers.below(4) {
                    put(input, to, &piece, true);
                }
            }
            6 | 7 if !words.is_empty() => {
                let word = words[numbers.below(words.len())].as_bytes();
                put(input, at, word, numbers.below(2) == 0);
            }
            8 if !others.is_empty() => {
                let other = &others[numbers.below(others.len())];
                let from = numbers.below(other.len() + 1);
                let end = (from + numbers.below(256)).min(other.len());
                put(input, at, &other[from..end], numbers.below(2) == 0);
            }
            _ => flip(input, at, numbers),
        }
        input.truncate(most);
    }
}

fn flip(input: &mut [u8], at: usize, numbers: &mut Numbers) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << numbers.below(8);
    }
}

fn put(input: &mut Vec<u8>, at: usize, bytes: &[u8], insert: bool) {
    let at = at.min(input.len());
    let end = if insert { at } else { (at + bytes.len()).min(input.len()) };
    input.splice(at..end, bytes.iter().copied());
}
