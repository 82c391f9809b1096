//! Which places of a disk are cleared before anything is written: both ends of the disk, and of each partition that goes or comes. What
//! is known by its beginning or its end (file systems, LUKS, LVM, arrays, pools) is not found any more then, by nobody.

use cairn_layout::onto::{Fate, Onto, Origin};

/// How much of each end.
pub const END: u64 = 1 << 20;

/// What a disk writes as a whole or not at all, and where FAT, ext4, XFS, LUKS, LVM and swap say what they are.
const PAGE: u64 = 4096;

/// A piece of a disk, in bytes: where it begins, and how long it is.
pub type Piece = (u64, u64);

/// All of them, in their order; none overlaps another, and none has a byte of what stays.
pub fn pieces(onto: &Onto) -> Vec<Piece> {
    merged(steps(onto).into_iter().flatten().collect(), onto.there.bytes)
}

/// The same in the order in which they are cleared, each step on the disk before the next one begins: the disk's own ends, where the
/// table is; then the first page of partitions; then the rest of their beginnings; then their ends. However little of it is done,
/// nothing is found by its first page of which something else is gone, and no table that goes names anything of which a part is missing.
pub fn steps(onto: &Onto) -> [Vec<Piece>; 4] {
    let sector = onto.there.sector;
    let gone =
        onto.there.partitions.iter().filter(|one| matches!(onto.fate(one.number), Fate::Removed | Fate::Replaced(_)));
    let gone = gone.map(|one| (one.first.offset(sector), one.sectors.bytes(sector)));
    let made = onto.plan.partitions.iter().zip(&onto.origins);
    let made = made.filter(|(_, origin)| matches!(origin, Origin::New | Origin::Replaces(_)));
    let places: Vec<Piece> =
        gone.chain(made.map(|(one, _)| (onto.plan.offset_of(one), onto.plan.bytes_of(one)))).collect();
    let first = |(at, len): &Piece| (*at, PAGE.min(*len));
    let begin = |(at, len): &Piece| (*at, END.min(*len));
    let end = |(at, len): &Piece| (at.saturating_add(*len) - END.min(*len), END.min(*len));
    let disk = onto.new_table.then_some((0, onto.there.bytes));
    let all = |pieces: Vec<Piece>| merged(pieces, onto.there.bytes);
    let pages = all(places.iter().map(first).collect());
    let begins = without(all(places.iter().map(begin).collect()), &pages);
    let disk = all(disk.iter().flat_map(|disk| [begin(disk), end(disk)]).collect());
    [disk, pages, begins, all(places.iter().map(end).collect())]
}

/// Pieces without those that lie in them; both are sorted.
fn without(pieces: Vec<Piece>, inner: &[Piece]) -> Vec<Piece> {
    let mut rest = Vec::new();
    for (mut at, len) in pieces {
        let to = at + len;
        for (hole, length) in inner {
            if (at..to).contains(hole) {
                rest.push((at, hole - at));
                at = (hole + length).min(to);
            }
        }
        rest.push((at, to - at));
    }
    rest.retain(|(_, len)| *len > 0);
    rest
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

    /// Half a GiB with two partitions, the second of which is replaced, or all of which go.
    fn onto(whole: bool) -> Onto {
        use cairn_layout::onto::{DiskThere, Mode, PartitionThere, TableThere, Wish};
        use cairn_layout::{Lba, Needs, SectorSize, Sectors};
        let partition = |number, first, sectors| PartitionThere {
            number,
            first: Lba(first),
            sectors: Sectors(sectors),
            id: Some(uuid::Uuid::from_u128(u128::from(number))),
            type_guid: Some(uuid::Uuid::from_u128(7)),
            format: None,
            what: "old".into(),
        };
        let there = DiskThere {
            bytes: 1 << 30,
            sector: SectorSize::default(),
            table: TableThere::Gpt { id: uuid::Uuid::from_u128(1), first: Lba(34), last: Lba(2_097_118), entries: 128 },
            whole: None,
            partitions: vec![partition(1, 2048, 8192), partition(2, 1_048_576, 1_000_000)],
        };
        let disk: cairn_machine::model::Disk = serde_json::from_value(serde_json::json!({"layout": "uefi"})).unwrap();
        let mut wish = Wish { mode: Mode::Whole, ..Wish::default() };
        if !whole {
            wish.mode = Mode::Free;
            wish.replace.insert("root".into(), 2);
        }
        cairn_layout::onto::onto(&disk, uuid::Uuid::from_u128(2), &Needs::default(), &there, &wish).unwrap()
    }

    #[test]
    fn what_lies_in_pieces_is_cut_out_of_them() {
        assert_eq!(without(vec![(0, 10), (20, 10)], &[(0, 2), (5, 1), (29, 1)]), [(2, 3), (6, 4), (20, 9)]);
        assert_eq!(without(vec![(4, 4)], &[(4, 4)]), []);
    }

    #[test]
    fn the_table_goes_first_and_beginnings_before_ends() {
        let [table, pages, begins, ends] = steps(&onto(true));
        assert_eq!(table, [(0, END), ((1 << 30) - END, END)]);
        assert!(pages.contains(&(512 << 20, PAGE)), "{pages:?}");
        assert!(begins.contains(&((512 << 20) + PAGE, END - PAGE)), "{begins:?}");
        assert!(ends.iter().any(|(at, len)| at + len == (1_048_576 + 1_000_000) * 512), "{ends:?}");
        let [table, pages, begins, ends] = steps(&onto(false));
        assert!(table.is_empty() && pages.contains(&(512 << 20, PAGE)), "{pages:?}");
        let first = 2048 * 512..(2048 + 8192) * 512;
        let touches = |(at, len): &Piece| *at < first.end && first.start < at + len;
        assert!(
            !pages.iter().chain(&begins).chain(&ends).any(touches),
            "what stays is left alone: {begins:?} {ends:?}"
        );
    }
}
