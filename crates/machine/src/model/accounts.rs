//! User accounts and groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// The real name (GECOS).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"Alice Example")]
    pub description: Option<String>,
    /// The numeric user id. Default: the next free one from 1000 on, in the alphabetical
    /// order of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 1000)]
    pub uid: Option<u32>,
    /// The primary group. Default: a group of the user's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"users")]
    pub group: Option<String>,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["sudo"]]))]
    pub groups: Vec<String>,
    /// The home directory. Default: /home/NAME, and /root for root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"), example = &"/home/alice")]
    pub home: Option<String>,
    /// The login shell. Default: /bin/bash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"), example = &"/bin/bash")]
    pub shell: Option<String>,
    /// A system account: id below 1000, no home directory is made.
    pub system: bool,
    /// SSH public keys that may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["ssh-ed25519 AAAA... alice@laptop"]]))]
    pub ssh_authorized_keys: Vec<String>,
    /// A file, relative to this one, that holds a crypt(5) hash of the first password. It is read when an image is
    /// made and put into the machine's own state, never into the store; a password changed later stays changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"alice.password")]
    pub hashed_password_file: Option<String>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// The numeric group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 2000)]
    pub gid: Option<u32>,
    /// A system group: id below 1000.
    pub system: bool,
}
