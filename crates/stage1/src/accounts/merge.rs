//! Merges the accounts that a generation declares with those of the machine. Pure.
//!
//! - What is declared is there, as it is declared; but a name keeps the number that it once had on this machine.
//! - A password, once it is on the machine, stays; a first password is given once.
//! - What was made on the machine (users, groups, memberships) stays.
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
pub fn merge(input: Input) -> Merged {
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
    let translate = |gid: u32| {
        input.declared.groups.iter().find(|g| g.gid == gid).and_then(|g| gids.get(&g.name).copied()).unwrap_or(gid)
    };

    let mut record = Record::default();
    let mut accounts = Accounts::default();
    for user in &input.declared.users {
        let uid = uids[&user.name];
        accounts.users.push(User { uid, gid: translate(user.gid), ..user.clone() });
        let (shadow, first_password) = declared_shadow(&input, &user.name);
        accounts.shadows.push(shadow);
        let user_record = UserRecord { uid, declared: true, first_password, shadow: String::new() };
        record.users.insert(user.name.clone(), user_record);
    }
    for (name, old) in &input.record.users {
        if !record.users.contains_key(name) {
            let shadow = match input.machine.shadow(name) {
                Some(s) if old.declared => format!("{}:{}", s.password, s.ageing),
                _ => old.shadow.clone(),
            };
            record.users.insert(name.clone(), UserRecord { declared: false, shadow, ..old.clone() });
        }
    }
    // A user who was declared and is not any more goes; one who was made on the machine (again) stays.
    let gone = |name: &str| input.record.users.get(name).is_some_and(|u| u.declared);
    for user in &input.machine.users {
        if input.declared.user(&user.name).is_none() && !gone(&user.name) {
            accounts.users.push(user.clone());
            accounts.shadows.extend(input.machine.shadow(&user.name).cloned());
        }
    }

    merge_groups(&input, &gids, &mut accounts, &mut record);
    // In the generation's order: a file that says the same then is the same, and need not be kept on the machine.
    let declared = &input.declared;
    accounts.shadows.sort_by_key(|s| position(declared.shadows.iter().map(|d| &d.name), &s.name));
    accounts.group_shadows.sort_by_key(|s| position(declared.group_shadows.iter().map(|d| &d.name), &s.name));
    Merged {
        users: differing(input.declared.users.iter().map(|u| (u.uid, uids[&u.name]))),
        groups: differing(input.declared.groups.iter().map(|g| (g.gid, gids[&g.name]))),
        accounts,
        record,
        notes,
    }
}

fn position<'a>(mut names: impl Iterator<Item = &'a String>, name: &str) -> usize {
    names.position(|n| n == name).unwrap_or(usize::MAX)
}

fn merge_groups(input: &Input, gids: &BTreeMap<String, u32>, accounts: &mut Accounts, record: &mut Record) {
    let users: BTreeSet<String> = accounts.users.iter().map(|u| u.name.clone()).collect();
    for group in &input.declared.groups {
        let old = input.record.groups.get(&group.name).map_or(&[][..], |g| &g.members);
        // Declared by nobody now and by nobody before: added on the machine.
        let added = |members: &[String]| -> Vec<String> {
            members.iter().filter(|m| !group.members.contains(m) && !old.contains(m)).cloned().collect()
        };
        let join = |machine: &[String]| -> Vec<String> {
            group.members.iter().cloned().chain(added(machine)).filter(|m| users.contains(m)).collect()
        };
        let gid = gids[&group.name];
        let members = join(input.machine.group(&group.name).map_or(&[][..], |g| &g.members));
        let machine = input.machine.group_shadow(&group.name);
        if let Some(shadow) = machine.or(input.declared.group_shadow(&group.name)) {
            accounts.group_shadows.push(GroupShadow { members: members.clone(), ..shadow.clone() });
        }
        accounts.groups.push(Group { name: group.name.clone(), gid, members });
        let group_record = GroupRecord { gid, declared: true, members: group.members.clone() };
        record.groups.insert(group.name.clone(), group_record);
    }
    for (name, old) in &input.record.groups {
        if !record.groups.contains_key(name) {
            record.groups.insert(name.clone(), GroupRecord { gid: old.gid, declared: false, members: Vec::new() });
        }
    }
    for group in &input.machine.groups {
        let gone = input.record.groups.get(&group.name).is_some_and(|g| g.declared);
        if input.declared.group(&group.name).is_none() && !gone {
            let members: Vec<String> = group.members.iter().filter(|m| users.contains(*m)).cloned().collect();
            if let Some(shadow) = input.machine.group_shadow(&group.name) {
                accounts.group_shadows.push(GroupShadow { members: members.clone(), ..shadow.clone() });
            }
            accounts.groups.push(Group { members, ..group.clone() });
        }
    }
}

/// The shadow line of a declared user, and whether the first password has been dealt with.
fn declared_shadow(input: &Input, name: &str) -> (Shadow, bool) {
    let record = input.record.users.get(name);
    let returned = || {
        let (password, ageing) = record.filter(|r| !r.declared)?.shadow.split_once(':')?;
        Some(Shadow { name: name.into(), password: password.into(), ageing: ageing.into() })
    };
    let declared = || input.declared.shadow(name).cloned();
    let locked = || Shadow { name: name.into(), password: "!".into(), ageing: "::::::".into() };
    let mut shadow = input.machine.shadow(name).cloned().or_else(returned).or_else(declared).unwrap_or_else(locked);
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
    let mut used: BTreeSet<u32> = known.values().chain(declared.iter().map(|(_, id)| id)).copied().collect();
    let mut chosen = BTreeMap::new();
    for &(name, id) in declared {
        let number = if let Some(&old) = known.get(name) {
            if old != id {
                notes.push(format!("{what} {name} keeps its number {old} on this machine (declared: {id})"));
            }
            old
        } else if known.values().any(|&other| other == id) {
            let free = free(id, &used);
            notes.push(format!("{what} {name} gets the number {free}: {id} is taken on this machine"));
            free
        } else {
            id
        };
        used.insert(number);
        chosen.insert(name.to_string(), number);
    }
    chosen
}

/// The next number that nobody uses, of the same kind (system or ordinary) as `like`.
fn free(like: u32, used: &BTreeSet<u32>) -> u32 {
    let free = |id: &u32| !used.contains(id);
    let found = if like < 1000 { (100..1000).rev().find(free) } else { (1000..60_000).find(free) };
    // All taken: sharing a number is bad, no account at all is worse.
    found.unwrap_or(like)
}

fn differing(pairs: impl Iterator<Item = (u32, u32)>) -> BTreeMap<u32, u32> {
    pairs.filter(|(declared, used)| declared != used).collect()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
