use std::{sync::Arc, thread};

use super::Shared;

#[test]
fn a_failed_update_leaves_the_value() {
    let shared = Shared::new(1);
    let mut reader = shared.reader();
    assert_eq!(shared.update(|_| Err("no")), Err("no"));
    assert_eq!(**reader.load(), 1);
    assert_eq!(*shared.update(|value| Ok::<_, ()>(value + 1)).expect("the update has no error"), 2);
    assert_eq!(**reader.load(), 2);
}

#[test]
fn an_update_that_panics_leaves_the_slot_usable() {
    let shared = Shared::new(1);
    let handle = shared.clone();
    let panicked =
        thread::spawn(move || handle.update(|_| -> Result<i32, ()> { panic!("on purpose") }))
            .join();
    assert!(panicked.is_err());
    shared.publish(Arc::new(2));
    assert_eq!(*shared.load(), 2);
}

#[test]
fn a_reader_outlives_the_writer() {
    let shared = Shared::new(1);
    let mut reader = shared.reader();
    shared.publish(Arc::new(2));
    drop(shared);
    assert_eq!(**reader.load(), 2);
}

#[test]
fn an_old_value_is_freed_when_its_last_reader_moves_on() {
    let shared = Shared::new(String::from("old"));
    let old = Arc::downgrade(&shared.load());
    let mut reader = shared.reader();
    shared.publish(Arc::new(String::from("new")));
    assert!(old.upgrade().is_some(), "the reader still holds it");
    reader.load();
    assert!(old.upgrade().is_none());
}
