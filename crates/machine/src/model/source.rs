//! Where a system comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a system comes from: exactly one of its kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "SourceKeys", into = "SourceKeys")]
pub enum Source {
    /// Debian packages, made into a base by mmdebstrap.
    Debian(DebianSource),
}

impl Source {
    /// The Debian packages that the system is made from.
    pub fn debian(&self) -> &DebianSource {
        let Source::Debian(debian) = self;
        debian
    }

    /// The same, to be changed.
    pub fn debian_mut(&mut self) -> &mut DebianSource {
        let Source::Debian(debian) = self;
        debian
    }
}

// The same as keys of a machine file, of which one is there. Its schema is the source's, and so is its description.
/// Where a system comes from: exactly one of its kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
struct SourceKeys {
    /// Debian packages, made into a base by mmdebstrap.
    debian: DebianSource,
}

impl From<SourceKeys> for Source {
    fn from(keys: SourceKeys) -> Source {
        Source::Debian(keys.debian)
    }
}

impl From<Source> for SourceKeys {
    fn from(source: Source) -> SourceKeys {
        let Source::Debian(debian) = source;
        SourceKeys { debian }
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        SourceKeys::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SourceKeys::json_schema(generator)
    }
}

/// Debian packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DebianSource {
    /// The suite's code name; trixie or later.
    #[serde(default = "default_suite")]
    #[schemars(example = &"trixie")]
    pub suite: String,
    /// The mirror's URI; without one, the default mirror of mmdebstrap. A snapshot mirror keeps old versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://snapshot.example.org/archive/debian/20260101T000000Z")]
    pub mirror: Option<String>,
    /// Components of the archive.
    #[serde(default = "default_components")]
    #[schemars(extend("examples" = [["main", "contrib"]]))]
    pub components: Vec<String>,
    /// Packages on top of what every machine needs to boot.
    #[serde(default)]
    #[schemars(extend("examples" = [["openssh-server", "sudo"]]))]
    pub packages: Vec<String>,
    /// The kernel package.
    #[serde(default = "default_kernel")]
    #[schemars(example = &"linux-image-amd64")]
    pub kernel: String,
    /// Whether what packages recommend comes with them, as apt does it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recommends: bool,
    /// Answers to what packages ask while they are installed, debconf-set-selections(1): owner, question, type and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["wireshark-common wireshark-common/install-setuid boolean true"]]))]
    pub debconf: Vec<String>,
}

fn default_suite() -> String {
    "trixie".into()
}

fn default_components() -> Vec<String> {
    vec!["main".into()]
}

fn default_kernel() -> String {
    "linux-image-cloud-amd64".into()
}
