//! Accounts and their record with anything in them: whatever comes out can be read again, and has what is declared.

use super::files::Accounts;
use super::merge::{Input, merge};
use super::record::Record;

const TEXTS: [&str; 4] = [
    "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n+::::::\n",
    "root:x:0:\nsudo:x:27:ann,bob\nshadow:x:42:\nann:x:1000:\nbob:x:1001:\n",
    "root:*:20000:0:99999:7:::\nann:$y$j9T$abc:20001:0:99999:7:::\nbob:!:::::::\n",
    "root:*::\nsudo:!::ann,bob\n",
];
const RECORD: &str = "user ann 1000 declared first-password \nuser cat 1002 gone - $y$x:20000:0:99999:7:::\n\
                      group ann 1000 declared \ngroup sudo 27 declared ann,bob\n";
const PIECES: [&str; 16] = [
    ":",
    ",",
    "\n",
    " ",
    "\0",
    "\u{fffd}",
    "-1",
    "4294967295",
    "4294967296",
    "0",
    "ann",
    "root",
    "+",
    "#",
    "::::::",
    "x:1:",
];

/// Always the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A text with some changes: pieces put in, bytes taken out, lines twice, the end cut off.
    fn mutated(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                3 => {
                    let again = bytes[..at].to_vec();
                    bytes.extend(again);
                }
                _ => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].bytes())),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn accounts(&mut self) -> Accounts {
        let texts = TEXTS.map(|text| self.mutated(text));
        Accounts::parse([&texts[0], &texts[1], &texts[2], &texts[3]])
    }
}

#[test]
fn mutated_accounts_are_merged_into_what_can_be_read_and_merged_again() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..5_000 {
        let declared = random.accounts();
        let machine = random.accounts();
        let record = Record::parse(&random.mutated(RECORD));
        let input = |machine, record| Input { declared: declared.clone(), machine, record, ..Input::default() };
        let one = merge(input(machine, record));
        for user in &declared.users {
            assert!(one.accounts.users.iter().any(|other| other.name == user.name), "round {round}: {user:?}");
        }
        for (number, group) in declared.groups.iter().enumerate() {
            if declared.groups[..number].iter().any(|other| other.name == group.name) {
                continue;
            }
            let there = one.accounts.groups.iter().find(|other| other.name == group.name);
            let members = there.map(|there| &there.members).unwrap();
            assert!(group.members.iter().all(|member| members.contains(member)), "round {round}: {group:?}");
        }
        let texts = one.accounts.texts();
        let read = Accounts::parse([&texts[0], &texts[1], &texts[2], &texts[3]]);
        assert_eq!(read.texts(), texts, "round {round}");
        let two = merge(input(read, Record::parse(&one.record.text())));
        assert_eq!(two.accounts.texts(), texts, "round {round}: the second time something changed");
    }
}
