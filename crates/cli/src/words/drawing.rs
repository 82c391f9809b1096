//! A disk as it is and as it will be, as two bars to scale, of signs that every console has.

use std::fmt::Write as _;

use cairn_layout::onto::{Fate, Onto, Origin, TableThere};

/// Wider, nobody sees more.
const WIDEST: usize = 100;
/// Narrower, what the signs mean does not fit into a line.
const NARROWEST: usize = 32;
/// Pieces smaller than this are nobody's business: what alignment leaves.
const WORTH_A_PIECE: u64 = 2 << 20;
/// What the signs mean.
const LEGEND: &str = "= stays  # new  - lost  . free";

/// A piece of the disk.
#[derive(Debug, Clone)]
struct Piece {
    begin: u64,
    bytes: u64,
    sign: char,
    /// What it is called; the first of these that fits. Of the last one there is room at least.
    names: Vec<String>,
}

/// The two bars, in a terminal of this width.
pub fn drawn(onto: &Onto, columns: usize) -> String {
    let columns = columns.clamp(NARROWEST, WIDEST);
    let mut text = String::new();
    for (title, pieces) in [("now", now(onto)), ("then", then(onto))] {
        let _ = writeln!(text, "{title}:\n{}", bar(&filled(pieces, onto), columns));
    }
    let _ = writeln!(text, "{LEGEND}");
    text
}

fn now(onto: &Onto) -> Vec<Piece> {
    let there = &onto.there;
    let mut pieces: Vec<Piece> = Vec::new();
    for one in &there.partitions {
        let sign = match onto.fate(one.number) {
            Fate::Untouched | Fate::Kept(_) => '=',
            Fate::Replaced(_) | Fate::Removed => '-',
        };
        let (begin, bytes) = (one.first.offset(there.sector), one.sectors.bytes(there.sector));
        pieces.push(Piece { begin, bytes, sign, names: vec![one.number.to_string()] });
    }
    // A disk without partitions may hold something all the same.
    let holds = there.whole.is_some() || !matches!(there.table, TableThere::None | TableThere::Gpt { .. });
    if pieces.is_empty() && holds {
        let sign = if onto.new_table { '-' } else { '=' };
        pieces.push(Piece { begin: 0, bytes: there.bytes, sign, names: vec![String::new()] });
    }
    pieces
}

fn then(onto: &Onto) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (one, origin) in onto.plan.partitions.iter().zip(&onto.origins) {
        let sign = if matches!(origin, Origin::Keeps(_)) { '=' } else { '#' };
        let number = one.number.to_string();
        let names = vec![format!("{number} {}", one.kind.name()), number];
        pieces.push(Piece { begin: onto.plan.offset_of(one), bytes: onto.plan.bytes_of(one), sign, names });
    }
    let sector = onto.there.sector;
    for one in onto.there.partitions.iter().filter(|one| onto.fate(one.number) == Fate::Untouched) {
        let (begin, bytes) = (one.first.offset(sector), one.sectors.bytes(sector));
        pieces.push(Piece { begin, bytes, sign: '=', names: vec![one.number.to_string()] });
    }
    pieces
}

/// With what is free between them.
fn filled(mut pieces: Vec<Piece>, onto: &Onto) -> Vec<Piece> {
    pieces.sort_by_key(|piece| piece.begin);
    let mut all = Vec::with_capacity(pieces.len() * 2 + 1);
    let mut at = 0;
    let free = |begin: u64, end: u64| {
        let bytes = end.saturating_sub(begin);
        let names = vec![" free ".to_string(), String::new()];
        (bytes >= WORTH_A_PIECE).then_some(Piece { begin, bytes, sign: '.', names })
    };
    for piece in pieces {
        all.extend(free(at, piece.begin));
        // A logical partition lies in another one.
        at = at.max(piece.begin.saturating_add(piece.bytes));
        all.push(piece);
    }
    all.extend(free(at, onto.there.bytes));
    all
}

/// `|1|==2==|...|`
fn bar(pieces: &[Piece], columns: usize) -> String {
    let room = columns.saturating_sub(pieces.len() + 1);
    let least: Vec<usize> = pieces.iter().map(Piece::least).collect();
    if least.iter().sum::<usize>() > room {
        return crowded(pieces, columns);
    }
    let widths = shares(&pieces.iter().map(|piece| piece.bytes).collect::<Vec<_>>(), &least, room);
    let mut text = String::from("|");
    for (piece, width) in pieces.iter().zip(widths) {
        text += &piece.drawn(width);
        text.push('|');
    }
    text
}

/// More partitions than fit to scale: each keeps its number, in as many lines as that takes.
fn crowded(pieces: &[Piece], columns: usize) -> String {
    let (mut text, mut at) = (String::from("|"), 1);
    for piece in pieces {
        let width = piece.least();
        if at + width + 1 > columns {
            text += "\n|";
            at = 1;
        }
        text += &piece.drawn(width);
        text.push('|');
        at += width + 1;
    }
    text
}

/// So many columns for each: by its size, and at least so many as it must have.
fn shares(sizes: &[u64], least: &[usize], room: usize) -> Vec<usize> {
    let mut widths: Vec<Option<usize>> = vec![None; sizes.len()];
    loop {
        let open = |index: &usize| widths[*index].is_none();
        let taken: usize = widths.iter().flatten().sum();
        let left = (room - taken) as u128;
        let whole: u128 = (0..sizes.len()).filter(open).map(|index| u128::from(sizes[index])).sum();
        let share = |index: usize| (u128::from(sizes[index]) * left).checked_div(whole).unwrap_or(0);
        let small: Vec<usize> =
            (0..sizes.len()).filter(open).filter(|index| share(*index) < least[*index] as u128).collect();
        if small.is_empty() {
            // What rounding leaves goes to those who lost most by it; of two that lost the same, to the first.
            let mut by_rest: Vec<usize> = (0..sizes.len()).filter(open).collect();
            let parts: u128 = by_rest.iter().map(|index| share(*index)).sum();
            let rest = usize::try_from(left - parts).unwrap_or(0);
            let lost = |index: &usize| (u128::from(sizes[*index]) * left).checked_rem(whole).unwrap_or(0);
            by_rest.sort_by_key(|index| std::cmp::Reverse(lost(index)));
            let more: Vec<usize> = by_rest.into_iter().take(rest).collect();
            let width = |index: usize| usize::try_from(share(index)).unwrap_or(0) + usize::from(more.contains(&index));
            return (0..sizes.len()).map(|index| widths[index].unwrap_or_else(|| width(index))).collect();
        }
        for index in small {
            widths[index] = Some(least[index]);
        }
    }
}

impl Piece {
    fn least(&self) -> usize {
        self.names.last().map_or(0, String::len).max(1)
    }

    /// The sign all over, and a name in the middle.
    fn drawn(&self, width: usize) -> String {
        // A long name needs some of its sign beside it.
        let fits = |name: &&String| name.len() + 4 <= width;
        let name = self.names.iter().find(fits).or(self.names.last()).map_or("", String::as_str);
        let signs = width.saturating_sub(name.len());
        let of = |count: usize| self.sign.to_string().repeat(count);
        format!("{}{name}{}", of(signs / 2), of(signs - signs / 2))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cairn_layout::onto::{DiskThere, Mode, PartitionThere, Wish, onto};
    use cairn_layout::{Lba, Needs, SectorSize, Sectors};
    use cairn_machine::{SourceFile, check};
    use uuid::Uuid;

    use super::*;

    const SEED: Uuid = Uuid::from_u128(0x1234_5678);

    fn there(gib: u64, partitions: &[(u64, u64)]) -> DiskThere {
        let bytes = gib << 30;
        let one = |(index, (first, mib)): (usize, &(u64, u64))| PartitionThere {
            number: index as u32 + 1,
            first: Lba(first * 2048),
            sectors: Sectors(mib * 2048),
            id: Some(Uuid::from_u128(index as u128 + 1)),
            type_guid: None,
            format: None,
            what: "Linux".into(),
        };
        DiskThere {
            bytes,
            sector: SectorSize::B512,
            table: TableThere::Gpt { id: SEED, first: Lba(34), last: Lba(bytes / 512 - 34), entries: 128 },
            whole: None,
            partitions: partitions.iter().enumerate().map(one).collect(),
        }
    }

    fn planned(there: &DiskThere, mode: Mode) -> Onto {
        let text = "version: 1\nhostname: a\nsource: {debian: {suite: trixie, packages: []}}\n\
                    disks: {main: {partitions: [{type: esp}, {type: swap, size: 2G}, {type: root}]}}\n\
                    users: {a: {ssh_authorized_keys: []}}\n";
        let file = SourceFile::new("a.yaml", text);
        let checked = check(&file, &mut |_| Err("none".into())).unwrap();
        let (_, disk) = checked.machine.root_disk().unwrap();
        let wish = Wish { mode, replace: BTreeMap::new(), keep: BTreeMap::new(), spare: Default::default() };
        onto(disk, SEED, &Needs::default(), there, &wish).unwrap()
    }

    fn bars(onto: &Onto, columns: usize) -> Vec<String> {
        let text = drawn(onto, columns);
        assert!(text.lines().all(|line| line.len() <= columns.min(WIDEST)), "{text}");
        assert!(text.ends_with("= stays  # new  - lost  . free\n"), "{text}");
        text.lines().filter(|line| line.starts_with('|')).map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_disk() {
        let onto = planned(&there(32, &[(1, 512), (513, 12 << 10)]), Mode::Whole);
        assert_eq!(
            bars(&onto, 40),
            ["|1|------2------|........ free ........|", "|1|2#|#############3 root##############|"]
        );
        assert_eq!(
            bars(&onto, 80),
            [
                "|1|--------------2--------------|.................... free ....................|",
                "|1|##2##|################################3 root################################|"
            ]
        );
    }

    #[test]
    fn beside_others() {
        let onto = planned(&there(64, &[(1, 100), (101, 16), (117, 24 << 10)]), Mode::Free);
        assert_eq!(
            bars(&onto, 40),
            ["|1|2|=====3======|....... free ........|", "|1|2|=====3=====|4|5|######6 root######|"]
        );
        assert_eq!(
            bars(&onto, 80),
            [
                "|1|2|=============3=============|.................... free ....................|",
                "|1|2|=============3=============|4|5#|#################6 root##################|"
            ]
        );
        let wide = [
            "|1|2|=================3=================|.......................... free ..........................|",
            "|1|2|================3=================|4|#5#|#######################6 root########################|",
        ];
        assert_eq!(bars(&onto, 100), wide);
        assert_eq!(bars(&onto, 300), wide);
    }

    #[test]
    fn a_disk_without_partitions() {
        let whole = |table, whole: Option<&str>| {
            let there = DiskThere { table, whole: whole.map(str::to_string), ..there(32, &[]) };
            bars(&planned(&there, Mode::Whole), 40).swap_remove(0)
        };
        assert_eq!(whole(TableThere::None, None), "|................ free ................|");
        assert_eq!(whole(TableThere::None, Some("ext4")), "|--------------------------------------|");
        assert_eq!(whole(TableThere::Broken("torn".into()), None), "|--------------------------------------|");
    }

    #[test]
    fn every_partition_of_many_has_its_number() {
        let many: Vec<(u64, u64)> = (0..60).map(|n| (1 + n * 4, 4)).collect();
        let onto = planned(&there(64, &many), Mode::Whole);
        for columns in [32, 40, 80, 100] {
            let text = bars(&onto, columns).join("");
            for number in 1..=60 {
                assert!(text.contains(&format!("|{number}|")), "{number} in {columns} columns: {text}");
            }
        }
    }

    #[test]
    fn columns_are_shared_to_the_last() {
        for (sizes, least, room) in [
            (&[1, 1, 1][..], &[1, 1, 1][..], 10),
            (&[0, 0], &[1, 1], 7),
            (&[u64::MAX, u64::MAX, 1], &[1, 1, 3], 39),
            (&[5, 1], &[1, 4], 5),
        ] {
            let shares = shares(sizes, least, room);
            assert!(shares.iter().zip(least).all(|(share, least)| share >= least), "{shares:?}");
            let all: usize = shares.iter().sum();
            assert!(all == room || sizes.iter().all(|size| *size == 0), "{shares:?}");
        }
    }
}
