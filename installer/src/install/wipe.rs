//! Which places of a disk are cleared before anything is written: both ends of the disk, and of each partition that goes or comes. What
//! is known by its beginning or its end (file systems, LUKS, LVM, arrays, pools) is not found any more then, by nobody.

use cairn_layout::onto::{Fate, Onto, Origin};

/// How much of each end.
pub const END: u64 = 1 << 20;

/// A piece of a disk, in bytes: where it begins, and how long it is.
pub type Piece = (u64, u64);

/// All of them, in their order; none overlaps another, and none has a byte of what stays.
pub fn pieces(onto: &Onto) -> Vec<Piece> {
    let sector = onto.there.sector;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut both_ends = |at: u64, len: u64| {
        pieces.push((at, END.min(len)));
        pieces.push((at + len - END.min(len), END.min(len)));
    };
    for one in &onto.there.partitions {
        if matches!(onto.fate(one.number), Fate::Removed | Fate::Replaced(_)) {
            both_ends(one.first.offset(sector), one.sectors.bytes(sector));
        }
    }
    for (one, origin) in onto.plan.partitions.iter().zip(&onto.origins) {
        if matches!(origin, Origin::New | Origin::Replaces(_)) {
            both_ends(onto.plan.offset_of(one), onto.plan.bytes_of(one));
        }
    }
    if onto.new_table {
        both_ends(0, onto.there.bytes);
    }
    merged(pieces, onto.there.bytes)
}

/// Pieces that touch become one. A table that is wrong may say that a partition is where the disk is not.
pub fn merged(mut pieces: Vec<Piece>, end: u64) -> Vec<Piece> {
    pieces.sort_unstable();
    let mut all: Vec<Piece> = Vec::new();
    for (at, len) in pieces {
        let (at, to) = (at.min(end), at.saturating_add(len).min(end));
        match all.last_mut() {
            Some((first, length)) if *first + *length >= at => *length = (*length).max(to - *first),
            _ => all.push((at, to - at)),
        }
    }
    all.retain(|(_, len)| *len > 0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_touch_are_one_and_end_where_the_disk_does() {
        let found = merged(vec![(0, 10), (5, 10), (15, 5), (30, 10), (95, 50), (200, 5)], 100);
        assert_eq!(found, [(0, 20), (30, 10), (95, 5)]);
    }
}
