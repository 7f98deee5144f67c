//! Replays the corpus of the fuzz targets, which `tests/fuzz` extends.

use std::fs;

use crate::support::Outcome;
use crate::support::workspace::root;

#[path = "../../fuzz/targets.rs"]
mod targets;

#[test]
fn the_properties_hold_for_each_input_of_the_corpus() -> Outcome {
    let folder = root().join("tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(folder.join(name))? {
            target(&fs::read(entry?.path())?);
            inputs += 1;
        }
        assert!(inputs > 1, "tests/fuzz/corpus/{name} has {inputs} inputs");
    }
    let token = |name: &str| fs::read_to_string(folder.join("access_token").join(name));
    assert!(targets::is_accepted(&token("valid")?) && !targets::is_accepted(&token("crit")?));
    let names = fs::read_dir(&folder)?.count();
    assert_eq!(names, targets::TARGETS.len(), "a folder of the corpus has no target in tests/fuzz/targets.rs");
    Ok(())
}
