//! The build script leaves what server reflection needs.

use prost::Message as _;
use ringpop_tutorial::sessions::DESCRIPTORS;

#[test]
fn the_schema_is_there_for_reflection() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let names: Vec<_> = set.file.iter().map(|file| file.name()).collect();
    assert!(names.contains(&"sessions.proto"), "{names:?}");
    assert!(names.contains(&"ringpop/options.proto"), "what is imported is there too: {names:?}");
}
