//! The four account files, passwd(5), group(5), shadow(5) and gshadow(5), as values.

use std::fmt::Write as _;

/// One line of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What people call it.
    pub name: String,
    /// `x`, as the password is in shadow; what else stands there is somebody's own.
    pub password: String,
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
    /// Who it is, in words.
    pub gecos: String,
    /// Its folder.
    pub home: String,
    /// What is started when it logs in.
    pub shell: String,
}

/// One line of /etc/group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What people call it.
    pub name: String,
    /// As for a user.
    pub password: String,
    /// Its number.
    pub gid: u32,
    /// Who is in it, by name.
    pub members: Vec<String>,
}

/// One line of /etc/shadow: the password's hash, and the rest (ageing) as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Whose it is.
    pub name: String,
    /// The hash.
    pub password: String,
    /// The other fields, with the colons between them.
    pub ageing: String,
}

/// One line of /etc/gshadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupShadow {
    /// Whose it is.
    pub name: String,
    /// The hash.
    pub password: String,
    /// Who may change the members.
    pub administrators: String,
    /// As in group.
    pub members: Vec<String>,
}

/// The accounts of one side. Lines that are not of a file's form are dropped, as the C library does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// /etc/passwd.
    pub users: Vec<User>,
    /// /etc/group.
    pub groups: Vec<Group>,
    /// /etc/shadow.
    pub shadows: Vec<Shadow>,
    /// /etc/gshadow.
    pub group_shadows: Vec<GroupShadow>,
    /// Lines of a directory service (NIS) in each of the files: `+`, `-name`, … They count from their place on, the end.
    pub services: [Vec<String>; 4],
}

/// The names of the four files, in the order of [`Accounts::texts`].
pub const NAMES: [&str; 4] = ["passwd", "group", "shadow", "gshadow"];

/// No password: nothing that somebody has chosen is lost when it is replaced.
pub fn is_unset(password: &str) -> bool {
    matches!(password, "" | "x" | "*" | "!" | "!!" | "!*")
}

impl Accounts {
    /// From the texts of the four files, in the order of [`NAMES`].
    pub fn parse(texts: [&str; 4]) -> Accounts {
        let [passwd, group, shadow, gshadow] = texts;
        Accounts {
            users: lines(passwd).filter_map(user).collect(),
            groups: lines(group).filter_map(parse_group).collect(),
            shadows: lines(shadow).filter_map(parse_shadow).collect(),
            group_shadows: lines(gshadow).filter_map(group_shadow).collect(),
            services: texts
                .map(|text| lines(text).filter(|line| line.starts_with(['+', '-'])).map(String::from).collect()),
        }
    }

    /// The texts of the four files, in the order of [`NAMES`].
    pub fn texts(&self) -> [String; 4] {
        let mut texts = [const { String::new() }; 4];
        let [passwd, group, shadow, gshadow] = &mut texts;
        for u in &self.users {
            let _ =
                writeln!(passwd, "{}:{}:{}:{}:{}:{}:{}", u.name, u.password, u.uid, u.gid, u.gecos, u.home, u.shell);
        }
        for g in &self.groups {
            let _ = writeln!(group, "{}:{}:{}:{}", g.name, g.password, g.gid, g.members.join(","));
        }
        for s in &self.shadows {
            let _ = writeln!(shadow, "{}:{}:{}", s.name, s.password, s.ageing);
        }
        for g in &self.group_shadows {
            let _ = writeln!(gshadow, "{}:{}:{}:{}", g.name, g.password, g.administrators, g.members.join(","));
        }
        for (text, lines) in texts.iter_mut().zip(&self.services) {
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "{line}");
            });
        }
        texts
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name == name)
    }
}

/// The lines of a file, whatever system it was written on.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.trim_end_matches('\r'))
}

/// A list of names as the files write it.
pub fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|n| !n.is_empty()).map(str::to_string).collect()
}

fn plain_name(name: &str) -> Option<String> {
    let first = name.chars().next()?;
    // `+` and `-` begin the lines of NIS, `#` a comment.
    (!"+-#".contains(first)).then(|| name.to_string())
}

fn user(line: &str) -> Option<User> {
    let f: Vec<&str> = line.split(':').collect();
    let [name, password, uid, gid, gecos, home, shell] = f[..] else { return None };
    Some(User {
        name: plain_name(name)?,
        password: password.into(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        gecos: gecos.into(),
        home: home.into(),
        shell: shell.into(),
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let f: Vec<&str> = line.split(':').collect();
    let [name, password, gid, members] = f[..] else { return None };
    Some(Group { name: plain_name(name)?, password: password.into(), gid: gid.parse().ok()?, members: names(members) })
}

fn parse_shadow(line: &str) -> Option<Shadow> {
    let (name, rest) = line.split_once(':')?;
    let (password, ageing) = rest.split_once(':')?;
    Some(Shadow { name: plain_name(name)?, password: password.into(), ageing: ageing.into() })
}

fn group_shadow(line: &str) -> Option<GroupShadow> {
    let f: Vec<&str> = line.split(':').collect();
    let [name, password, administrators, members] = f[..] else { return None };
    Some(GroupShadow {
        name: plain_name(name)?,
        password: password.into(),
        administrators: administrators.into(),
        members: names(members),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        let texts = [
            "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n",
            "root:x:0:\nsudo:x:27:ann,bob\n",
            "root:*:20000:0:99999:7:::\nann:$y$j9T$abc:20001:0:99999:7:::\n",
            "root:*::\nsudo:!::ann,bob\n",
        ];
        let read = Accounts::parse(texts);
        assert_eq!(read.texts(), texts.map(str::to_string));
        assert_eq!(read.group("sudo").unwrap().members, ["ann", "bob"]);
    }

    #[test]
    fn lines_of_another_form_are_dropped() {
        let read = Accounts::parse(["# x\nshort:x:1\nbad:x:one:1:::\n", "a:x:b:\n", "x\n", ":::\n"]);
        assert_eq!(read, Accounts::default());
    }
}
