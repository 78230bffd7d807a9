use proptest::prelude::*;

use super::*;

#[test]
fn a_full_map_refuses_and_keeps_what_it_has() {
    let map = Map::new(2, 10);
    assert_eq!(map.put("a", "1"), Ok(()));
    assert_eq!(map.put("b", "2"), Ok(()));
    assert_eq!(map.put("c", ""), Err(MapFull::Entries { max: 2 }));
    assert_eq!(map.put("a", "12345678"), Err(MapFull::Bytes { max: 10 }));
    assert_eq!(map.get(b"a").as_deref(), Some(&b"1"[..]));
    assert_eq!(map.put("a", "1234567"), Ok(()));
    assert!(map.delete(b"b") && !map.delete(b"b"));
    assert_eq!(map.put("c", "1"), Ok(()));
    assert_eq!(map.get(b"b"), None);
}

fn entries(of: &[(&'static str, Option<&'static str>)]) -> MapEntries {
    let entry = |(key, value): &(&'static str, Option<&'static str>)| MapEntry {
        key: Bytes::from_static(key.as_bytes()),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
    };
    MapEntries { entries: of.iter().map(entry).collect() }
}

#[test]
fn what_comes_replaces_what_is_old_and_not_what_was_written_meanwhile() {
    let map = Map::new(10, 100);
    for key in ["old", "gone", "written", "deleted"] {
        map.put(key, "0").unwrap();
    }
    map.shards.iter().for_each(|shard| lock(shard).begin_to_take());
    map.put("written", "2").unwrap();
    assert!(map.delete(b"deleted"));
    let come = [
        ("old", Some("1")),
        ("gone", None),
        ("new", Some("1")),
        ("written", Some("1")),
        ("deleted", Some("1")),
    ];
    map.take(entries(&come)).unwrap();
    let value = |key: &str| map.get(key.as_bytes()).map(|value| value.to_vec());
    let expected = [Some(b"1".to_vec()), None, Some(b"1".to_vec()), Some(b"2".to_vec()), None];
    assert_eq!(["old", "gone", "new", "written", "deleted"].map(value), expected);
}

#[test]
fn chunks_are_as_large_as_they_should_be_and_hold_every_entry() {
    let mut batches = Batches::default();
    let value = Bytes::from(vec![0; HAND_OFF_CHUNK_BYTES / 3]);
    let mut full = Vec::new();
    for i in 0..10_u8 {
        let entry = MapEntry { key: vec![i].into(), value: Some(value.clone()) };
        full.extend(batches.add("10.0.0.1:1", entry));
    }
    let rest = batches.0.into_values().map(|(entries, _)| entries.entries.len()).sum::<usize>();
    let sizes: Vec<usize> = full
        .iter()
        .map(|(_, chunk)| {
            assert!(chunk.len() <= HAND_OFF_CHUNK_BYTES + 64);
            MapEntries::decode(chunk.clone()).unwrap().entries.len()
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>() + rest, 10);
    assert_eq!(sizes, [2, 2, 2, 2]);
}

proptest! {
    /// The counted entries and bytes are those of the content after any history, refusals included.
    #[test]
    fn content_is_counted(
        history in prop::collection::vec(("[a-d]{1,3}", prop::option::of(0..20_usize)), 0..60),
    ) {
        let map = Map::new(5, 60);
        for (key, len) in history {
            match len {
                Some(len) => { let _ = map.put(key, vec![0; len]); }
                None => { map.delete(key.as_bytes()); }
            }
            let (mut entries, mut bytes) = (0, 0);
            for shard in &map.shards {
                let shard = lock(shard);
                entries += shard.values.len();
                bytes += shard.values.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            }
            prop_assert_eq!((map.len(), map.bytes()), (entries, bytes));
            prop_assert!(entries <= 5 && bytes <= 60);
        }
    }
}
