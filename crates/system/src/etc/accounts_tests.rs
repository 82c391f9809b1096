//! Tests of accounts: numbers, groups, and what is refused.

use super::*;

fn base() -> Tree {
    let mut tree = Tree::default();
    tree.file("passwd", "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:997:997::/:/usr/sbin/nologin\n").unwrap();
    tree.file("group", "root:x:0:\nsudo:x:27:\nshadow:x:42:\nmessagebus:x:997:\n").unwrap();
    tree.file("shadow", "root:*:20000:0:99999:7:::\nmessagebus:!:20000::::::\n").unwrap();
    tree.file("gshadow", "root:*::\nsudo:*::\nshadow:*::\nmessagebus:!::\n").unwrap();
    tree
}

fn machine(text: &str) -> Machine {
    let mut value: serde_json::Value =
        serde_json::from_str(r#"{"version":1,"hostname":"h","source":{"debian":{}},"disks":{}}"#).unwrap();
    let more: serde_json::Value = serde_json::from_str(text).unwrap();
    for (key, part) in more.as_object().unwrap() {
        value[key] = part.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn shells(path: &str) -> bool {
    path == "/bin/bash"
}

fn refused(text: &str) -> (String, String) {
    let error = apply(&mut base(), &machine(text), &shells).unwrap_err();
    (error.pointer().unwrap().to_string(), error.to_string())
}

#[test]
fn users_get_numbers_groups_and_homes() {
    let mut tree = base();
    let machine = machine(
        r#"{"users":{"ann":{"groups":["sudo"],"description":"Ann"},"bob":{"uid":1000},"daemon1":{"system":true}},
            "groups":{"team":{"gid":1001}}}"#,
    );
    let ids = apply(&mut tree, &machine, &shells).unwrap();
    assert_eq!((ids.users["ann"], ids.groups["ann"]), (1001, 1002), "1000 is asked for, group 1001 is taken");
    assert_eq!((ids.users["bob"], ids.groups["bob"]), (1000, 1000));
    assert_eq!((ids.users["daemon1"], ids.groups["daemon1"]), (300, 300));
    assert!(tree.text("passwd").unwrap().contains("ann:x:1001:1002:Ann:/home/ann:/bin/bash\n"));
    assert!(tree.text("group").unwrap().contains("sudo:x:27:ann\n"));
    assert!(tree.text("gshadow").unwrap().contains("sudo:*::ann\n"));
    assert!(tree.text("shadow").unwrap().contains("ann:*:::::::\n"));
    assert_eq!(tree.special("etc/"), "0640 0 42 etc/gshadow\n0640 0 42 etc/shadow\n");
    let unit = tree.text("systemd/system/cairn-homes.service").unwrap();
    assert!(unit.contains("ConditionPathExists=|!/home/ann") && !unit.contains("daemon1"), "{unit}");
}

#[test]
fn root_can_be_changed_but_not_renumbered() {
    let mut tree = base();
    let text = r#"{"users":{"root":{"shell":"/bin/bash","description":"The root"}}}"#;
    apply(&mut tree, &machine(text), &shells).unwrap();
    assert!(tree.text("passwd").unwrap().starts_with("root:x:0:0:The root:/root:/bin/bash\n"));
    assert!(tree.get("systemd/system/cairn-homes.service").is_none());
    assert_eq!(refused(r#"{"users":{"root":{"uid":5}}}"#).0, "/users/root/uid");
}

#[test]
fn what_is_not_there_is_refused_at_its_place() {
    let (pointer, message) = refused(r#"{"users":{"ann":{"shell":"/bin/zsh"}}}"#);
    assert_eq!((pointer.as_str(), message.as_str()), ("/users/ann/shell", "the packages have no shell /bin/zsh"));
    let (pointer, message) = refused(r#"{"users":{"ann":{"groups":["root","sodu"]}}}"#);
    assert_eq!((pointer.as_str(), message.as_str()), ("/users/ann/groups/1", "there is no group sodu"));
    assert_eq!(refused(r#"{"users":{"ann":{"group":"x"}}}"#).0, "/users/ann/group");
    assert_eq!(refused(r#"{"users":{"ann":{"uid":997}}}"#).0, "/users/ann/uid");
    assert_eq!(refused(r#"{"groups":{"team":{"gid":27}}}"#).0, "/groups/team/gid");
    assert_eq!(refused(r#"{"groups":{"sudo":{"gid":28}}}"#).0, "/groups/sudo/gid");
}

#[test]
fn whoever_is_called_like_an_account_or_group_of_the_packages_is_told() {
    let (pointer, message) = refused(r#"{"users":{"messagebus":{"groups":["sudo"]}}}"#);
    assert_eq!(pointer, "/users/messagebus");
    assert_eq!(message, "messagebus is an account of the packages (uid 997, home /)");
    let (pointer, message) = refused(r#"{"users":{"shadow":{}}}"#);
    assert_eq!((pointer.as_str(), message.as_str()).0, "/users/shadow");
    assert!(message.starts_with("shadow is a group of the packages (gid 42)"), "{message}");
    for meant in [
        r#"{"users":{"messagebus":{"system":true,"groups":["sudo"]}}}"#,
        r#"{"users":{"shadow":{"group":"sudo"}}}"#,
        r#"{"users":{"sudo":{}},"groups":{"sudo":{}}}"#,
    ] {
        apply(&mut base(), &machine(meant), &shells).unwrap();
    }
}

#[test]
fn ordinary_users_have_subordinate_numbers_by_their_own() {
    let mut tree = base();
    let text = r#"{"users":{"ann":{"uid":1002},"bob":{"uid":1000},"sys1":{"system":true},"root":{},"far":{"uid":59999},
        "last":{"uid":10154},"over":{"uid":10155}}}"#;
    apply(&mut tree, &machine(text), &shells).unwrap();
    let lines = "ann:231072:65536\nbob:100000:65536\nlast:600016544:65536\n";
    assert_eq!(tree.text("subuid").unwrap(), lines);
    assert_eq!(tree.text("subgid").unwrap(), lines);
}
