//! Accounts: those of the base, and the machine file's. What happened on the machine is merged with them at boot.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::{Group, Machine, User};
use cairn_machine::nearest;
use cairn_machine::pointer::child;

use super::enable;
use crate::error::SystemError;
use crate::tree::{Access, Node, Tree};

/// The numbers of all accounts by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Users.
    pub users: BTreeMap<String, u32>,
    /// Groups.
    pub groups: BTreeMap<String, u32>,
}

/// First and last number of ordinary accounts.
const ORDINARY: std::ops::RangeInclusive<u32> = 1000..=59_999;
/// Numbers for system accounts of the machine file; those of packages are given out from 999 downwards.
const SYSTEM: std::ops::RangeInclusive<u32> = 300..=499;
const HOMES: &str = "cairn-homes.service";

/// Puts `passwd`, `group`, `shadow`, `gshadow`, and the unit that makes homes.
///
/// # Errors
/// When an account names a group or a shell that is not there, or a number that is taken.
pub fn apply(tree: &mut Tree, machine: &Machine, has: &dyn Fn(&str) -> bool) -> Result<Ids, SystemError> {
    let mut files = Files::read(tree);
    files.add_groups(machine)?;
    files.add_users(machine, has)?;
    files.add_members(machine)?;
    let ids = files.ids.clone();
    let shadow = ids.groups.get("shadow").copied().unwrap_or(0);
    let secret = Access { mode: 0o640, uid: 0, gid: shadow };
    tree.file("passwd", join(&files.passwd))?;
    tree.file("group", join(&files.group))?;
    tree.put("shadow", Node::File(join(&files.shadow).into()), secret)?;
    tree.put("gshadow", Node::File(join(&files.gshadow).into()), secret)?;
    homes(tree, machine)?;
    let ordinary = machine.users.iter().filter(|(name, user)| !user.system && *name != "root");
    let ranges = subordinate(ordinary.filter_map(|(name, _)| Some((name.as_str(), *ids.users.get(name)?))));
    for name in ["subuid", "subgid"] {
        let packages = tree.text(name).unwrap_or_default();
        tree.file(name, packages + &ranges)?;
    }
    Ok(ids)
}

/// Subordinate numbers, as `useradd` gives them (SUB_UID_MIN, SUB_UID_COUNT and SUB_UID_MAX of Debian's login.defs): without them
/// nobody but root runs a container.
const SUBORDINATE: std::ops::RangeInclusive<u32> = 100_000..=600_100_000;
const SUBORDINATE_COUNT: u32 = 65_536;

/// The lines of subuid(5): each user's range follows from the number, so that another user moves nobody's. At boot a range
/// goes where the number goes, and what the machine has given out stays. Numbers from 10155 on have none.
fn subordinate<'a>(users: impl Iterator<Item = (&'a str, u32)>) -> String {
    let range = |uid: u32| {
        let start =
            uid.checked_sub(*ORDINARY.start())?.checked_mul(SUBORDINATE_COUNT)?.checked_add(*SUBORDINATE.start())?;
        (start.checked_add(SUBORDINATE_COUNT - 1)? <= *SUBORDINATE.end()).then_some(start)
    };
    users.filter_map(|(name, uid)| Some(format!("{name}:{}:{SUBORDINATE_COUNT}\n", range(uid)?))).collect()
}

/// Lines as fields.
type Lines = Vec<Vec<String>>;

struct Files {
    passwd: Lines,
    group: Lines,
    shadow: Lines,
    gshadow: Lines,
    /// Names and numbers of the accounts in these lines.
    ids: Ids,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

fn join(lines: &Lines) -> String {
    lines.iter().map(|fields| fields.join(":") + "\n").collect()
}

fn fields<const N: usize>(fields: [&str; N]) -> Vec<String> {
    fields.map(str::to_string).to_vec()
}

fn numbers(lines: &Lines) -> BTreeSet<u32> {
    lines.iter().filter_map(|f| f.get(2)?.parse().ok()).collect()
}

impl Files {
    fn read(tree: &Tree) -> Files {
        let lines = |name: &str, count: usize| -> Lines {
            let text = tree.text(name).unwrap_or_default();
            let lines = text.lines().map(|l| l.split(':').map(str::to_string).collect());
            lines.filter(|f: &Vec<String>| f.len() == count).collect()
        };
        let (passwd, group) = (lines("passwd", 7), lines("group", 4));
        let ids = |lines: &Lines| lines.iter().filter_map(|f| Some((f[0].clone(), f[2].parse().ok()?))).collect();
        Files {
            ids: Ids { users: ids(&passwd), groups: ids(&group) },
            uids: numbers(&passwd),
            gids: numbers(&group),
            passwd,
            group,
            shadow: lines("shadow", 9),
            gshadow: lines("gshadow", 4),
        }
    }

    fn add_group(&mut self, name: &str, gid: u32) {
        self.ids.groups.insert(name.to_string(), gid);
        self.gids.insert(gid);
        self.group.push(fields([name, "x", &gid.to_string(), ""]));
        self.gshadow.push(fields([name, "!", "", ""]));
    }

    fn add_groups(&mut self, machine: &Machine) -> Result<(), SystemError> {
        // Numbers that the file gives come first, so that none of them is given out before.
        let asked: BTreeSet<u32> = machine.groups.values().filter_map(|g| g.gid).collect();
        let (mut normal, mut system) = (Numbers::new(false), Numbers::new(true));
        for (name, group) in &machine.groups {
            let pointer = child("/groups", name);
            match (self.ids.groups.get(name).copied(), group.gid) {
                // A package makes a group of this name.
                (Some(gid), wanted) => {
                    if wanted.is_some_and(|w| w != gid) {
                        let message = format!("the group {name} comes with the packages, and has the number {gid}");
                        return Err(SystemError::refused(child(pointer, "gid"), message));
                    }
                }
                (None, Some(gid)) if self.gids.contains(&gid) => {
                    let message = format!("the number {gid} belongs to the group {}", self.group_of(gid));
                    return Err(SystemError::refused(child(pointer, "gid"), message));
                }
                (None, Some(gid)) => self.add_group(name, gid),
                (None, None) => {
                    let numbers = if group.system { &mut system } else { &mut normal };
                    let gid = numbers.free(&[&self.gids, &asked], &pointer)?;
                    self.add_group(name, gid);
                }
            }
        }
        Ok(())
    }

    fn group_of(&self, gid: u32) -> &str {
        let gid = gid.to_string();
        self.group.iter().find(|f| f[2] == gid).map_or("", |f| &f[0])
    }

    fn add_users(&mut self, machine: &Machine, has: &dyn Fn(&str) -> bool) -> Result<(), SystemError> {
        let asked: BTreeSet<u32> = machine.users.values().filter_map(|u| u.uid).collect();
        let mut numbers = [false, true].map(|system| (Numbers::new(system), Numbers::new(system)));
        for (name, user) in &machine.users {
            let pointer = child("/users", name);
            if let Some(shell) = user.shell.as_deref().filter(|s| !has(s)) {
                let message = format!("the packages have no shell {shell}");
                let help = Some("is the package that brings it in source.debian.packages?".into());
                return Err(SystemError::refused_with(child(pointer, "shell"), message, help));
            }
            if self.ids.users.contains_key(name) {
                self.is_meant(name, user, &pointer)?;
                self.change_user(name, user, &pointer)?;
            } else {
                let numbers = &mut numbers[usize::from(user.system)];
                self.new_user(name, user, (&asked, &machine.groups), numbers, &pointer)?;
            }
        }
        Ok(())
    }

    /// Somebody who declares `backup` wants a person's account, and would get Debian's: its number, its home, no shell; and
    /// the password and groups would be given to whatever else runs under it.
    fn is_meant(&self, name: &str, user: &User, pointer: &str) -> Result<(), SystemError> {
        if name == "root" || user.system {
            return Ok(());
        }
        let line = self.passwd.iter().find(|line| line[0] == name);
        let of = line.map(|line| format!(" (uid {}, home {})", line[2], line[5])).unwrap_or_default();
        let help = "choose another name; or, if that account is to be changed, write `system: true`".to_string();
        Err(SystemError::refused_with(pointer, format!("{name} is an account of the packages{of}"), Some(help)))
    }

    /// A user of the packages (root, for one) is changed where the file says something.
    fn change_user(&mut self, name: &str, user: &User, pointer: &str) -> Result<(), SystemError> {
        let gid = user.group.as_deref().map(|g| self.gid(g, pointer, "group")).transpose()?;
        let Some(line) = self.passwd.iter_mut().find(|f| f[0] == name) else { return Ok(()) };
        if let Some(uid) = user.uid.filter(|uid| uid.to_string() != line[2]) {
            let message = format!("the user {name} comes with the packages, and has the number {}, not {uid}", line[2]);
            return Err(SystemError::refused(child(pointer, "uid"), message));
        }
        let gid = gid.map(|g| g.to_string());
        for (at, value) in [(3, &gid), (4, &user.description), (5, &user.home), (6, &user.shell)] {
            if let Some(value) = value {
                line[at].clone_from(value);
            }
        }
        Ok(())
    }

    fn new_user(
        &mut self,
        name: &str,
        user: &User,
        (asked, declared): (&BTreeSet<u32>, &BTreeMap<String, Group>),
        numbers: &mut (Numbers, Numbers),
        pointer: &str,
    ) -> Result<(), SystemError> {
        let uid = match user.uid {
            Some(uid) if self.uids.contains(&uid) => {
                let uid_text = uid.to_string();
                let owner = self.passwd.iter().find(|f| f[2] == uid_text).map_or("", |f| &f[0]);
                let message = format!("the number {uid} belongs to the user {owner}");
                return Err(SystemError::refused(child(pointer, "uid"), message));
            }
            Some(uid) => uid,
            None => numbers.0.free(&[&self.uids, asked], pointer)?,
        };
        let gid = match user.group.as_deref() {
            Some(group) => self.gid(group, pointer, "group")?,
            None => match self.ids.groups.get(name) {
                // Whoever is called `shadow` or `disk` would be what members of that group may be.
                Some(gid) if !user.system && !declared.contains_key(name) => {
                    let message = format!("{name} is a group of the packages (gid {gid}), and would be the user's own");
                    let help = "choose another name, or say which `group` it is to have".to_string();
                    return Err(SystemError::refused_with(pointer, message, Some(help)));
                }
                Some(gid) => *gid,
                None => {
                    // The group has the user's number where that is free.
                    let gid = match self.gids.contains(&uid) {
                        true => numbers.1.free(&[&self.gids, asked], pointer)?,
                        false => uid,
                    };
                    self.add_group(name, gid);
                    gid
                }
            },
        };
        let home = user.home.clone().unwrap_or_else(|| match user.system {
            true => "/nonexistent".into(),
            false => format!("/home/{name}"),
        });
        let shell = user.shell.as_deref().unwrap_or(if user.system { "/usr/sbin/nologin" } else { "/bin/bash" });
        let gecos = user.description.as_deref().unwrap_or_default();
        self.passwd.push(fields([name, "x", &uid.to_string(), &gid.to_string(), gecos, &home, shell]));
        self.shadow.push(fields([name, "*", "", "", "", "", "", "", ""]));
        self.ids.users.insert(name.to_string(), uid);
        self.uids.insert(uid);
        Ok(())
    }

    fn gid(&self, group: &str, pointer: &str, key: &str) -> Result<u32, SystemError> {
        let ids = &self.ids;
        ids.groups.get(group).copied().ok_or_else(|| {
            let near = nearest(group, ids.groups.keys().map(String::as_str)).map(|n| format!("did you mean {n}?"));
            let help = near.or_else(|| Some("a group of the machine's own is declared under groups".into()));
            SystemError::refused_with(child(pointer, key), format!("there is no group {group}"), help)
        })
    }

    fn add_members(&mut self, machine: &Machine) -> Result<(), SystemError> {
        let mut joining: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, user) in &machine.users {
            let pointer = child("/users", name);
            for (i, group) in user.groups.iter().enumerate() {
                self.gid(group, &child(&pointer, "groups"), &i.to_string())?;
                joining.entry(group).or_default().insert(name);
            }
        }
        for line in self.group.iter_mut().chain(&mut self.gshadow) {
            let Some(names) = joining.get(&*line[0]) else { continue };
            let mut members: Vec<&str> = line[3].split(',').filter(|m| !m.is_empty()).collect();
            let there: BTreeSet<&str> = members.iter().copied().collect();
            members.extend(names.iter().filter(|name| !there.contains(*name)));
            line[3] = members.join(",");
        }
        Ok(())
    }
}

/// Numbers to give out, the lowest first. What was looked at once is not looked at again: a number that is taken stays so.
struct Numbers(std::ops::RangeInclusive<u32>);

impl Numbers {
    fn new(system: bool) -> Numbers {
        Numbers(if system { SYSTEM } else { ORDINARY })
    }

    fn free(&mut self, taken: &[&BTreeSet<u32>], pointer: &str) -> Result<u32, SystemError> {
        let found = self.0.find(|id| !taken.iter().any(|t| t.contains(id)));
        found.ok_or_else(|| SystemError::refused(pointer, "there is no free number left for this account"))
    }
}

/// Homes are made by PAM's helper, once, with the files of /etc/skel.
fn homes(tree: &mut Tree, machine: &Machine) -> Result<(), SystemError> {
    let users: Vec<(&String, String)> = machine
        .users
        .iter()
        .filter(|(name, user)| !user.system && *name != "root")
        .map(|(name, user)| (name, user.home.clone().unwrap_or_else(|| format!("/home/{name}"))))
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let mut text = "[Unit]\nDescription=Homes of Users\nBefore=systemd-user-sessions.service\n".to_string();
    for (name, home) in &users {
        let home = in_unit(home).ok_or_else(|| {
            let message = "the home directory has characters that a unit would take for something else";
            SystemError::refused(child(child("/users", name), "home"), message)
        })?;
        text += &format!("RequiresMountsFor={home}\nConditionPathExists=|!{home}\n");
    }
    text += "\n[Service]\nType=oneshot\n";
    for (name, _) in &users {
        let name = in_unit(name).ok_or_else(|| SystemError::refused(child("/users", name), "it is no user's name"))?;
        text += &format!("ExecStart=/usr/sbin/mkhomedir_helper {name} 0077\n");
    }
    text += "\n[Install]\nWantedBy=multi-user.target\n";
    tree.file(&format!("systemd/system/{HOMES}"), text)?;
    enable(tree, [(format!("multi-user.target.wants/{HOMES}"), format!("/etc/systemd/system/{HOMES}"))])
}

/// A word as a unit file has it. A `%` is doubled; what would need quotes, which each setting reads in its own way, is
/// not to be had.
fn in_unit(word: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "\"'\\$;#|!".contains(c);
    (!word.is_empty() && !word.contains(odd)).then(|| word.replace('%', "%%"))
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
