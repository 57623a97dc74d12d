//! The JSON schemas in docs/, held against the types by the tests of those, here
//! and in `trapgate-measure`.

use schemars::Schema;

/// Holds `docs/NAME`, embedded as `embedded`, against what the types are now;
/// with `TRAPGATE_BLESS=1` in the environment it writes the file anew.
///
/// # Panics
/// If they differ.
#[track_caller]
pub fn hold(name: &str, schema: &Schema, embedded: &str) {
    let current = serde_json::to_string_pretty(schema).expect("JSON") + "\n";
    if std::env::var_os("TRAPGATE_BLESS").is_some() {
        let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &current).expect("the sources are writable");
        return;
    }
    let advice = "TRAPGATE_BLESS=1 cargo test -p trapgate -p trapgate-measure --lib schema writes it; raise VERSION";
    assert!(embedded == current, "docs/{name} is not current: {advice}");
}
