//! Tests of the merge: one machine's life, generation after generation.

use super::*;

impl Accounts {
    fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name)
    }

    fn shadow(&self, name: &str) -> Option<&Shadow> {
        self.shadows.iter().find(|s| s.name == name)
    }
}

fn declared(users: &[(&str, u32)], sudo: &str) -> Accounts {
    let mut passwd = "root:x:0:0:root:/root:/bin/bash\n".to_string();
    let mut group = format!("root:x:0:\nsudo:x:27:{sudo}\nshadow:x:42:\n");
    let mut shadow = "root:*:20000:0:99999:7:::\n".to_string();
    for (name, id) in users {
        passwd += &format!("{name}:x:{id}:{id}::/home/{name}:/bin/bash\n");
        group += &format!("{name}:x:{id}:\n");
        shadow += &format!("{name}:!:::::::\n");
    }
    Accounts::parse([&passwd, &group, &shadow, ""])
}

fn boot(declared: &Accounts, machine: &Accounts, record: &Record) -> Merged {
    merge(Input { declared: declared.clone(), machine: machine.clone(), record: record.clone(), ..Input::default() })
}

#[test]
fn a_fresh_machine_has_what_is_declared() {
    let d = declared(&[("ann", 1000)], "ann");
    let merged = boot(&d, &Accounts::default(), &Record::default());
    assert_eq!(merged.accounts.users, d.users);
    assert_eq!(merged.accounts.groups, d.groups);
    assert_eq!(merged.accounts.shadows, d.shadows);
    assert!(merged.users.is_empty() && merged.notes.is_empty());
}

#[test]
fn what_is_as_declared_comes_out_as_declared_whatever_the_order_of_the_files() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\n";
    let group = "root:x:0:\nsudo:x:27:ann\nann:x:1000:\n";
    let d = Accounts::parse([passwd, group, "ann:*:::::::\nroot:*:20000:0:99999:7:::\n", "ann:!::\nsudo:*::ann\n"]);
    let merged = boot(&d, &Accounts::default(), &Record::default());
    assert_eq!(merged.accounts, d);
}

#[test]
fn a_password_that_somebody_put_into_passwd_or_group_itself_stays() {
    let d = declared(&[("ann", 1000)], "");
    let one = boot(&d, &Accounts::default(), &Record::default());
    // As after pwunconv and grpunconv.
    let mut machine = Accounts { shadows: Vec::new(), group_shadows: Vec::new(), ..one.accounts };
    machine.users[0].password = "*".into();
    machine.users[1].password = "$y$own".into();
    machine.groups[1].password = "$y$group".into();
    let two = boot(&d, &machine, &one.record).accounts;
    assert_eq!(
        (two.user("ann").unwrap().password.as_str(), two.user("root").unwrap().password.as_str()),
        ("$y$own", "x")
    );
    let passwords: Vec<&str> = two.groups.iter().map(|group| group.password.as_str()).collect();
    assert_eq!(passwords, ["x", "$y$group", "x", "x"]);
    // It comes back with its user.
    let gone = boot(&declared(&[], ""), &machine, &one.record);
    let back = boot(&d, &gone.accounts, &gone.record);
    assert_eq!(back.accounts.shadow("ann").unwrap().password, "$y$own");
}

#[test]
fn a_changed_password_stays_and_a_new_user_is_there() {
    let one = boot(&declared(&[("ann", 1000)], ""), &Accounts::default(), &Record::default());
    let mut machine = Accounts { shadows: one.accounts.shadows.clone(), ..Accounts::default() };
    machine.shadows[1].password = "$y$changed".into();
    let two = boot(&declared(&[("ann", 1000), ("bob", 1001)], ""), &machine, &one.record);
    assert_eq!(two.accounts.shadow("ann").unwrap().password, "$y$changed");
    assert_eq!(two.accounts.shadow("bob").unwrap().password, "!");
    assert_eq!(two.accounts.user("bob").unwrap().uid, 1001);
}

#[test]
fn a_name_keeps_its_number_when_the_declaration_counts_differently() {
    let one = boot(&declared(&[("cat", 1000)], ""), &Accounts::default(), &Record::default());
    // `bob` comes before `cat` now, and takes its number in the declaration.
    let two = boot(&declared(&[("bob", 1000), ("cat", 1001)], ""), &Accounts::default(), &one.record);
    assert_eq!(two.accounts.user("cat").unwrap().uid, 1000);
    assert_eq!(two.accounts.group("cat").unwrap().gid, 1000);
    assert_eq!(two.accounts.user("cat").unwrap().gid, 1000);
    let bob = two.accounts.user("bob").unwrap();
    assert_eq!((bob.uid, bob.gid), (1002, 1002));
    assert_eq!(two.users, [(1000, 1002), (1001, 1000)].into());
    assert_eq!(two.notes.len(), 4);
}

#[test]
fn a_user_who_is_not_declared_any_more_goes_and_comes_back_as_before() {
    let with = declared(&[("ann", 1000), ("bob", 1001)], "bob");
    let without = declared(&[("ann", 1000)], "");
    let one = boot(&with, &Accounts::default(), &Record::default());
    let mut machine = one.accounts.clone();
    machine.shadows[2].password = "$y$bob".into();

    let two = boot(&without, &machine, &one.record);
    assert!(two.accounts.user("bob").is_none() && two.accounts.shadow("bob").is_none());
    assert!(two.accounts.group("bob").is_none());
    assert!(two.accounts.group("sudo").unwrap().members.is_empty());

    let three = boot(&without, &two.accounts, &Record::parse(&two.record.text()));
    let four = boot(&with, &three.accounts, &three.record);
    assert_eq!(four.accounts.user("bob").unwrap().uid, 1001);
    assert_eq!(four.accounts.shadow("bob").unwrap().password, "$y$bob");
    assert_eq!(four.accounts.group("sudo").unwrap().members, ["bob"]);
}

#[test]
fn what_was_made_on_the_machine_stays() {
    let d = declared(&[("ann", 1000)], "ann");
    let one = boot(&d, &Accounts::default(), &Record::default());
    let mut machine = one.accounts.clone();
    let eve = User { name: "eve".into(), uid: 1001, gid: 1001, ..machine.users[1].clone() };
    machine.users.push(eve);
    machine.groups.push(Group { name: "eve".into(), password: "x".into(), gid: 1001, members: vec![] });
    machine.shadows.push(Shadow { name: "eve".into(), password: "$y$eve".into(), ageing: "::::::".into() });
    machine.groups[1].members.push("eve".into());

    let two = boot(&d, &machine, &one.record);
    assert_eq!(two.accounts.shadow("eve").unwrap().password, "$y$eve");
    assert_eq!(two.accounts.group("sudo").unwrap().members, ["ann", "eve"]);
    // Ann loses sudo by declaration; eve, who was added by hand, does not.
    let three = boot(&declared(&[("ann", 1000)], ""), &two.accounts, &two.record);
    assert_eq!(three.accounts.group("sudo").unwrap().members, ["eve"]);
    // A new declared user does not take eve's number.
    let four = boot(&declared(&[("ann", 1000), ("bob", 1001)], ""), &three.accounts, &three.record);
    assert_eq!(four.accounts.user("bob").unwrap().uid, 1002);
}

#[test]
fn a_first_password_is_given_once() {
    let d = declared(&[("ann", 1000)], "");
    let first: BTreeMap<String, String> = [("ann".to_string(), "$y$first".to_string())].into();
    let input = |machine: &Accounts, record: &Record| Input {
        declared: d.clone(),
        machine: machine.clone(),
        record: record.clone(),
        first_passwords: first.clone(),
    };
    let one = merge(input(&Accounts::default(), &Record::default()));
    assert_eq!(one.accounts.shadow("ann").unwrap().password, "$y$first");
    let mut machine = one.accounts;
    machine.shadows[1].password = "!".into();
    let two = merge(input(&machine, &one.record));
    assert_eq!(two.accounts.shadow("ann").unwrap().password, "!", "locked by hand, stays locked");

    let mut machine = Accounts { shadows: d.shadows.clone(), ..Accounts::default() };
    machine.shadows[1].password = "$y$own".into();
    let other = merge(input(&machine, &Record::default()));
    assert_eq!(other.accounts.shadow("ann").unwrap().password, "$y$own");
}

#[test]
fn merging_twice_changes_nothing() {
    let d = declared(&[("ann", 1000), ("bob", 1001)], "ann");
    let one = boot(&d, &Accounts::default(), &Record::default());
    let two = boot(&d, &one.accounts, &one.record);
    assert_eq!(two.accounts, one.accounts);
    assert_eq!(two.record, one.record);
}

fn members<'a>(merged: &'a Merged, group: &str) -> Vec<&'a str> {
    merged.accounts.group(group).unwrap().members.iter().map(String::as_str).collect()
}

#[test]
fn a_member_whom_no_local_file_knows_stays_in_declared_groups_and_in_the_machines_own() {
    let d = declared(&[("ann", 1000)], "ann");
    let one = boot(&d, &Accounts::default(), &Record::default());
    let mut machine = one.accounts.clone();
    machine.groups[1].members.push("ldapuser".into());
    let team = "team:x:2000:DOMAIN\\\\carl,ann,homed\n";
    machine.groups.extend(Accounts::parse(["", team, "", ""]).groups);
    let mut last = boot(&d, &machine, &one.record);
    for _ in 0..3 {
        assert_eq!(members(&last, "sudo"), ["ann", "ldapuser"]);
        assert_eq!(members(&last, "team"), ["DOMAIN\\\\carl", "ann", "homed"]);
        last = boot(&d, &last.accounts, &Record::parse(&last.record.text()));
    }
    // Nor does it matter that the record is lost, or that nobody is declared to be in the group any more.
    let without = boot(&d, &last.accounts, &Record::default());
    assert_eq!(members(&without, "sudo"), ["ann", "ldapuser"]);
    let nobody = boot(&declared(&[("ann", 1000)], ""), &last.accounts, &last.record);
    assert_eq!(members(&nobody, "sudo"), ["ldapuser"]);
}

#[test]
fn who_is_declared_no_more_is_in_no_group_any_more_and_may_be_put_into_one_by_hand_afterwards() {
    let with = declared(&[("ann", 1000), ("bob", 1001)], "bob");
    let without = declared(&[("ann", 1000)], "");
    let one = boot(&with, &Accounts::default(), &Record::default());
    let mut machine = one.accounts.clone();
    // By hand: into a declared group, and into one of the machine's own.
    machine.groups[2].members = vec!["bob".into(), "ldapuser".into()];
    machine.groups.extend(Accounts::parse(["", "team:x:2000:bob,ann\n", "", ""]).groups);
    let stays = boot(&with, &machine, &one.record);
    assert_eq!(members(&stays, "shadow"), ["bob", "ldapuser"]);
    let two = boot(&without, &stays.accounts, &stays.record);
    assert!(members(&two, "sudo").is_empty());
    assert_eq!(members(&two, "shadow"), ["ldapuser"]);
    assert_eq!(members(&two, "team"), ["ann"]);
    // The name is a directory's from now on.
    let mut machine = two.accounts.clone();
    machine.groups[2].members.push("bob".into());
    let three = boot(&without, &machine, &two.record);
    assert_eq!(members(&three, "shadow"), ["ldapuser", "bob"]);
}

#[test]
fn a_member_who_is_declared_is_there_once_and_one_taken_out_by_declaration_goes() {
    let one = boot(&declared(&[("ann", 1000), ("bob", 1001)], "ann,bob"), &Accounts::default(), &Record::default());
    let mut machine = one.accounts.clone();
    machine.groups[1].members = ["bob", "ldapuser", "ldapuser", "ann"].map(String::from).to_vec();
    let two = boot(&declared(&[("ann", 1000), ("bob", 1001)], "ann"), &machine, &one.record);
    assert_eq!(members(&two, "sudo"), ["ann", "ldapuser"]);
}

#[test]
fn lines_of_a_directory_service_and_passwords_in_the_open_files_stay() {
    let d = declared(&[("ann", 1000)], "ann");
    let one = boot(&d, &Accounts::default(), &Record::default());
    let [mut passwd, mut group, shadow, gshadow] = one.accounts.texts();
    passwd += "old:$1$hash:1500:1500::/home/old:/bin/sh\n+@team::::::\n+::::::\n";
    group += "shop:$1$hash:1500:old\n+:::\n";
    let machine = Accounts::parse([&passwd, &group, &shadow, &gshadow]);
    let two = boot(&d, &machine, &one.record);
    let [after, groups, ..] = two.accounts.texts();
    assert_eq!((after, groups), (passwd, group));
}

#[test]
fn very_many_lines_take_no_longer_than_it_takes_to_read_them() {
    // Quadratic, this would not end.
    let passwd: String = (0..40_000).map(|i| format!("u{i}:x:{}:1:::\n", i % 30_000)).collect();
    let group: String = (0..40_000).map(|i| format!("g{i}:x:{}:u{i}\n", i % 30_000)).collect();
    let group = format!("{group}all:x:5:{}\n", (0..40_000).map(|i| format!("u{i},")).collect::<String>());
    let shadow: String = (0..40_000).map(|i| format!("u{i}:*:::::::\n")).collect();
    let many = Accounts::parse([&passwd, &group, &shadow, ""]);
    let few = declared(&[("ann", 1000)], "ann");
    let one = boot(&few, &many, &Record::default());
    assert_eq!(one.accounts.users.len(), 40_002);
    let two = boot(&many, &few, &one.record);
    assert_eq!(two.accounts.users.len(), 40_000);
    assert_eq!(two.accounts.group("all").unwrap().members.len(), 40_000);
}
