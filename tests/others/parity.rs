//! Deferreds held against Twisted: each script must leave the trace that Twisted left.

use std::path::Path;

#[path = "parity/replay.rs"]
mod replay;

#[test]
fn every_script_leaves_the_trace_that_it_leaves_on_twisted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity");
    let mut scripts = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let script = std::fs::read_to_string(&path).unwrap();
            let trace = std::fs::read_to_string(path.with_extension("trace")).unwrap();
            let script = serde_json::from_str(&script).unwrap();
            assert_eq!(replay::replay(&script).join("\n"), trace.trim_end(), "{path:?}");
            scripts += 1;
        }
    }
    assert_eq!(scripts, 60);
}
