//! Language and keyboard.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The language of messages and formats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Locale {
    /// `LANG`.
    #[schemars(example = &"de_DE.UTF-8")]
    pub lang: String,
    /// Single categories, such as `LC_TIME`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, String>,
}

impl Default for Locale {
    fn default() -> Self {
        Locale { lang: "C.UTF-8".into(), categories: BTreeMap::new() }
    }
}

/// The keyboard, in XKB's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keyboard {
    /// XKB layout, such as `de`.
    #[schemars(example = &"de")]
    pub layout: String,
    /// XKB variant, such as `nodeadkeys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"nodeadkeys")]
    pub variant: Option<String>,
    /// XKB model.
    #[schemars(example = &"pc105")]
    pub model: String,
    /// XKB options, such as `ctrl:nocaps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["ctrl:nocaps"]]))]
    pub options: Vec<String>,
}

impl Default for Keyboard {
    fn default() -> Self {
        Keyboard { layout: "us".into(), variant: None, model: "pc105".into(), options: Vec::new() }
    }
}
