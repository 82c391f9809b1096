//! What the helper remembers of the accounts from one boot to the next, in `/var/lib/cairn/accounts`.
//!
//! Text, one line for each account:
//!
//! ```text
//! user NAME UID declared|gone first-password|- PASSWORD:AGEING
//! group NAME GID declared|gone MEMBER,MEMBER
//! ```
//!
//! The numbers are remembered because files belong to numbers: a name keeps its number for ever, in whatever order
//! generations come and go. The password is remembered of users who are gone only, for when they are declared again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::files::names;

/// A user that some generation declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The number that its files have.
    pub uid: u32,
    /// The generation that booted last declared this user.
    pub declared: bool,
    /// The first password has been given; a file with one is not looked at again.
    pub first_password: bool,
    /// Of a user who is gone: password and ageing, as in shadow.
    pub shadow: String,
}

/// A group that some generation declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// The number that its files have.
    pub gid: u32,
    /// The generation that booted last declared this group.
    pub declared: bool,
    /// The members that it declared; others were added on the machine.
    pub members: Vec<String>,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// By name.
    pub users: BTreeMap<String, UserRecord>,
    /// By name.
    pub groups: BTreeMap<String, GroupRecord>,
}

impl Record {
    /// From the file's text. Lines that cannot be read are dropped: what they said is then taken from the machine.
    pub fn parse(text: &str) -> Record {
        let mut record = Record::default();
        for line in text.lines() {
            let f: Vec<&str> = line.splitn(6, ' ').collect();
            match f[..] {
                ["user", name, uid, state, first, shadow] => {
                    let Ok(uid) = uid.parse() else { continue };
                    let (declared, first_password) = (state == "declared", first == "first-password");
                    let user = UserRecord { uid, declared, first_password, shadow: shadow.into() };
                    record.users.insert(name.into(), user);
                }
                ["group", name, gid, state, members] => {
                    let Ok(gid) = gid.parse() else { continue };
                    let group = GroupRecord { gid, declared: state == "declared", members: names(members) };
                    record.groups.insert(name.into(), group);
                }
                _ => {}
            }
        }
        record
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let state = |declared| if declared { "declared" } else { "gone" };
        let mut text = String::new();
        for (name, u) in &self.users {
            let first = if u.first_password { "first-password" } else { "-" };
            let _ = writeln!(text, "user {name} {} {} {first} {}", u.uid, state(u.declared), u.shadow);
        }
        for (name, g) in &self.groups {
            let _ = writeln!(text, "group {name} {} {} {}", g.gid, state(g.declared), g.members.join(","));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = "user ann 1000 declared first-password \nuser bob 1001 gone - $y$x:20000:0:99999:7:::\n\
                    group ann 1000 declared \ngroup sudo 27 declared ann,bob\n";
        let record = Record::parse(text);
        assert!(record.users["ann"].first_password && !record.users["bob"].declared);
        assert_eq!(record.text(), text);
    }
}
