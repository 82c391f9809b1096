//! Merges the accounts that a generation declares with those of the machine. Pure.
//!
//! - What is declared is there, as it is declared; but a name keeps the number that it once had on this machine.
//! - A password, once it is on the machine, stays, also where it is not in shadow (`pwunconv`); a first password is given
//!   once.
//! - What was made on the machine (users, groups, memberships) stays; a member may be somebody whom only a directory
//!   service knows.
//! - What an earlier generation declared and this one does not, goes. Its number is kept for its return, and a user's
//!   password too.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Accounts, Group, GroupShadow, Shadow, User, is_unset};
use super::record::{GroupRecord, Record, UserRecord};

/// What the merge is made of.
#[derive(Debug, Default)]
pub struct Input {
    /// The generation's `/etc/{passwd,group,shadow,gshadow}`.
    pub declared: Accounts,
    /// The machine's own, from the upper layer of `/etc`; empty where it has none.
    pub machine: Accounts,
    /// What was remembered at the last boot.
    pub record: Record,
    /// First passwords (crypt(5) hashes) by user.
    pub first_passwords: BTreeMap<String, String>,
}

/// What comes of it.
#[derive(Debug)]
pub struct Merged {
    /// The accounts to use.
    pub accounts: Accounts,
    /// What to remember.
    pub record: Record,
    /// Declared number to number in use, where they differ: what the generation says in numbers is to be translated.
    pub users: BTreeMap<u32, u32>,
    /// The same for groups.
    pub groups: BTreeMap<u32, u32>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Merges.
pub fn merge(mut input: Input) -> Merged {
    // Of two lines with one name the first counts, as for the C library.
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    input.declared.users.retain(|user| users.insert(user.name.clone()));
    input.declared.groups.retain(|group| groups.insert(group.name.clone()));
    let mut notes = Vec::new();
    let gids = numbers(
        &input.declared.groups.iter().map(|g| (g.name.as_str(), g.gid)).collect::<Vec<_>>(),
        &input.machine.groups.iter().map(|g| (g.name.as_str(), g.gid)).collect::<Vec<_>>(),
        &input.record.groups.iter().map(|(n, g)| (n.as_str(), g.gid)).collect::<Vec<_>>(),
        "group",
        &mut notes,
    );
    let uids = numbers(
        &input.declared.users.iter().map(|u| (u.name.as_str(), u.uid)).collect::<Vec<_>>(),
        &input.machine.users.iter().map(|u| (u.name.as_str(), u.uid)).collect::<Vec<_>>(),
        &input.record.users.iter().map(|(n, u)| (n.as_str(), u.uid)).collect::<Vec<_>>(),
        "user",
        &mut notes,
    );
    let mut translated = BTreeMap::new();
    for group in &input.declared.groups {
        translated.entry(group.gid).or_insert(gids[&group.name]);
    }
    let sides = Sides { declared: Index::of(&input.declared), machine: Index::of(&input.machine) };

    let mut record = Record::default();
    let mut accounts = Accounts { services: input.machine.services.clone(), ..Accounts::default() };
    for user in &input.declared.users {
        let uid = uids[&user.name];
        let password = sides.machine.users.get(user.name.as_str()).map(|user| user.password.as_str());
        accounts.users.push(User {
            uid,
            gid: translated.get(&user.gid).copied().unwrap_or(user.gid),
            password: own_or(password, &user.password),
            ..user.clone()
        });
        let (shadow, first_password) = declared_shadow(&input, &sides, &user.name);
        accounts.shadows.push(shadow);
        let user_record = UserRecord { uid, declared: true, first_password, shadow: String::new() };
        record.users.insert(user.name.clone(), user_record);
    }
    for (name, old) in &input.record.users {
        if !record.users.contains_key(name) {
            let open = sides.machine.users.get(name.as_str()).filter(|user| !is_unset(&user.password));
            let shadow = match (open, sides.machine.shadows.get(name.as_str())) {
                (Some(user), shadow) if old.declared => {
                    format!("{}:{}", user.password, shadow.map_or(NO_AGEING, |shadow| &shadow.ageing))
                }
                (None, Some(shadow)) if old.declared => format!("{}:{}", shadow.password, shadow.ageing),
                _ => old.shadow.clone(),
            };
            record.users.insert(name.clone(), UserRecord { declared: false, shadow, ..old.clone() });
        }
    }
    // A user who was declared and is not any more goes; one who was made on the machine (again) stays.
    for user in &input.machine.users {
        if !sides.declared.users.contains_key(user.name.as_str()) && !goes(&input, &sides, &user.name) {
            accounts.users.push(user.clone());
            accounts.shadows.extend(sides.machine.shadows.get(user.name.as_str()).map(|shadow| (*shadow).clone()));
        }
    }

    merge_groups(&input, &sides, &gids, &mut accounts, &mut record);
    // In the generation's order: a file that says the same then is the same, and need not be kept on the machine.
    let shadows = order(input.declared.shadows.iter().map(|shadow| shadow.name.as_str()));
    accounts.shadows.sort_by_key(|s| shadows.get(s.name.as_str()).copied().unwrap_or(usize::MAX));
    let shadows = order(input.declared.group_shadows.iter().map(|shadow| shadow.name.as_str()));
    accounts.group_shadows.sort_by_key(|s| shadows.get(s.name.as_str()).copied().unwrap_or(usize::MAX));
    Merged {
        users: differing(input.declared.users.iter().map(|u| (u.uid, uids[&u.name]))),
        groups: differing(input.declared.groups.iter().map(|g| (g.gid, gids[&g.name]))),
        accounts,
        record,
        notes,
    }
}

/// The rest of a shadow line that says nothing of ageing.
const NO_AGEING: &str = "::::::";

/// The machine's own word in the place of a password in passwd or group, if it is one.
fn own_or(machine: Option<&str>, declared: &str) -> String {
    machine.filter(|password| !is_unset(password)).unwrap_or(declared).to_string()
}

/// Both sides by name: a file may have very many lines. Of two lines with one name the first counts.
struct Sides<'a> {
    declared: Index<'a>,
    machine: Index<'a>,
}

struct Index<'a> {
    users: BTreeMap<&'a str, &'a User>,
    groups: BTreeMap<&'a str, &'a Group>,
    shadows: BTreeMap<&'a str, &'a Shadow>,
    group_shadows: BTreeMap<&'a str, &'a GroupShadow>,
}

impl<'a> Index<'a> {
    fn of(accounts: &'a Accounts) -> Index<'a> {
        Index {
            users: accounts.users.iter().rev().map(|user| (user.name.as_str(), user)).collect(),
            groups: accounts.groups.iter().rev().map(|group| (group.name.as_str(), group)).collect(),
            shadows: accounts.shadows.iter().rev().map(|shadow| (shadow.name.as_str(), shadow)).collect(),
            group_shadows: accounts.group_shadows.iter().rev().map(|shadow| (shadow.name.as_str(), shadow)).collect(),
        }
    }
}

fn order<'a>(names: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator) -> BTreeMap<&'a str, usize> {
    names.enumerate().rev().map(|(place, name)| (name, place)).collect()
}

/// True for a user who was declared and is not any more. Whoever is in no file at all, for a directory service has him,
/// was never declared.
fn goes(input: &Input, sides: &Sides<'_>, name: &str) -> bool {
    input.record.users.get(name).is_some_and(|user| user.declared) && !sides.declared.users.contains_key(name)
}

fn merge_groups(
    input: &Input,
    sides: &Sides<'_>,
    gids: &BTreeMap<String, u32>,
    accounts: &mut Accounts,
    record: &mut Record,
) {
    for group in &input.declared.groups {
        let name = group.name.as_str();
        // Declared by nobody now and by nobody before: added on the machine.
        let old = input.record.groups.get(name).map_or(&[][..], |group| &group.members);
        let mut known: BTreeSet<&str> = group.members.iter().chain(old).map(String::as_str).collect();
        let own = sides.machine.groups.get(name);
        let machine = own.map_or(&[][..], |group| &group.members);
        let added = machine.iter().filter(|member| known.insert(member) && !goes(input, sides, member));
        let members: Vec<String> = group.members.iter().chain(added).cloned().collect();
        let shadow = sides.machine.group_shadows.get(name).or(sides.declared.group_shadows.get(name));
        if let Some(&shadow) = shadow {
            accounts.group_shadows.push(GroupShadow { members: members.clone(), ..shadow.clone() });
        }
        let password = own_or(own.map(|group| group.password.as_str()), &group.password);
        accounts.groups.push(Group { gid: gids[name], members, password, ..group.clone() });
        let group_record = GroupRecord { gid: gids[name], declared: true, members: group.members.clone() };
        record.groups.insert(group.name.clone(), group_record);
    }
    for (name, old) in &input.record.groups {
        if !record.groups.contains_key(name) {
            record.groups.insert(name.clone(), GroupRecord { gid: old.gid, declared: false, members: Vec::new() });
        }
    }
    for group in &input.machine.groups {
        let name = group.name.as_str();
        let gone = input.record.groups.get(name).is_some_and(|group| group.declared);
        if !sides.declared.groups.contains_key(name) && !gone {
            let stays = |member: &&String| !goes(input, sides, member);
            let members: Vec<String> = group.members.iter().filter(stays).cloned().collect();
            if let Some(&shadow) = sides.machine.group_shadows.get(name) {
                accounts.group_shadows.push(GroupShadow { members: members.clone(), ..shadow.clone() });
            }
            accounts.groups.push(Group { members, ..group.clone() });
        }
    }
}

/// The shadow line of a declared user, and whether the first password has been dealt with.
fn declared_shadow(input: &Input, sides: &Sides<'_>, name: &str) -> (Shadow, bool) {
    let record = input.record.users.get(name);
    let returned = || {
        let (password, ageing) = record.filter(|r| !r.declared)?.shadow.split_once(':')?;
        Some(Shadow { name: name.into(), password: password.into(), ageing: ageing.into() })
    };
    let of = |side: &Index<'_>| side.shadows.get(name).map(|shadow| (*shadow).clone());
    let locked = || Shadow { name: name.into(), password: "!".into(), ageing: NO_AGEING.into() };
    let mut shadow = of(&sides.machine).or_else(returned).or_else(|| of(&sides.declared)).unwrap_or_else(locked);
    let mut given = record.is_some_and(|r| r.first_password);
    if let Some(first) = input.first_passwords.get(name).filter(|_| !given) {
        if is_unset(&shadow.password) {
            shadow.password.clone_from(first);
        }
        given = true;
    }
    (shadow, given)
}

/// The number of each declared name: the one it has on the machine, else the one it had, else the declared one if it
/// is free, else the next free one.
fn numbers(
    declared: &[(&str, u32)],
    machine: &[(&str, u32)],
    record: &[(&str, u32)],
    what: &str,
    notes: &mut Vec<String>,
) -> BTreeMap<String, u32> {
    // The machine's word counts more than memory: it is inserted last.
    let known: BTreeMap<&str, u32> = record.iter().chain(machine).copied().collect();
    let taken: BTreeSet<u32> = known.values().copied().collect();
    let mut free =
        Free { used: taken.iter().chain(declared.iter().map(|(_, id)| id)).copied().collect(), ..Free::default() };
    let mut chosen = BTreeMap::new();
    for &(name, id) in declared {
        let number = if let Some(&old) = known.get(name) {
            if old != id {
                notes.push(format!("{what} {name} keeps its number {old} on this machine (declared: {id})"));
            }
            old
        } else if taken.contains(&id) {
            let free = free.like(id);
            notes.push(format!("{what} {name} gets the number {free}: {id} is taken on this machine"));
            free
        } else {
            id
        };
        free.used.insert(number);
        chosen.insert(name.to_string(), number);
    }
    chosen
}

/// Numbers that nobody uses. Those of system accounts are given downwards, the others upwards.
struct Free {
    used: BTreeSet<u32>,
    system: std::iter::Rev<std::ops::Range<u32>>,
    ordinary: std::ops::Range<u32>,
}

impl Default for Free {
    fn default() -> Free {
        Free { used: BTreeSet::new(), system: (100..1000).rev(), ordinary: 1000..60_000 }
    }
}

impl Free {
    /// The next one, of the same kind as `like`.
    fn like(&mut self, like: u32) -> u32 {
        let free = |id: &u32| !self.used.contains(id);
        let found = if like < 1000 { self.system.find(free) } else { self.ordinary.find(free) };
        // All taken: sharing a number is bad, no account at all is worse.
        found.unwrap_or(like)
    }
}

fn differing(pairs: impl Iterator<Item = (u32, u32)>) -> BTreeMap<u32, u32> {
    pairs.filter(|(declared, used)| declared != used).collect()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
