//! Every interleaving of publishers and readers, by loom: `RUSTFLAGS="--cfg loom" cargo test -p
//! hashring --lib --release`.

use std::panic;

use super::{Reader, Shared};
use crate::sync::{Arc, Ordering, lock};

/// Loads twice; the second value must not be older.
fn read_forwards(mut reader: Reader<u64>) -> Reader<u64> {
    let first = **reader.load();
    let second = **reader.load();
    assert!(first <= second, "a reader went back from {first} to {second}");
    reader
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

#[test]
fn readers_go_forward_and_end_at_the_last_value() {
    model(3, || {
        let shared = Shared::new(0_u64);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let reader = shared.reader();
                loom::thread::spawn(move || read_forwards(reader))
            })
            .collect();
        shared.publish(Arc::new(1));
        shared.publish(Arc::new(2));
        for reader in readers {
            let mut reader = reader.join().expect("the reader does not panic");
            assert_eq!(**reader.load(), 2, "a reader is stuck at an old value");
        }
    });
}

#[test]
fn racing_updates_lose_nothing() {
    model(3, || {
        let shared = Shared::new(0_u64);
        let adders: Vec<_> = [1, 10]
            .map(|step| {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    shared.update(|value| Ok::<_, ()>(value + step)).map(|_| ())
                })
            })
            .into();
        for adder in adders {
            adder.join().expect("the adder does not panic").expect("the update has no error");
        }
        assert_eq!(*shared.load(), 11);
    });
}

/// Loom tracks every `Arc`, so this model also fails if a value is leaked or freed twice.
#[test]
fn the_last_reader_frees_the_value() {
    model(3, || {
        let shared = Shared::new(0_u64);
        let mut reader = shared.reader();
        let writer = loom::thread::spawn(move || shared.publish(Arc::new(1)));
        reader.load();
        writer.join().expect("the writer does not panic");
        drop(reader);
    });
}

/// The number raised before the value is replaced: the model must find the reader that keeps the
/// old value for ever.
#[test]
fn the_reversed_order_of_publication_is_caught() {
    let caught = panic::catch_unwind(|| {
        model(3, || {
            let shared = Shared::new(0_u64);
            let reader = shared.reader();
            let reading = loom::thread::spawn(move || read_forwards(reader));
            shared.slot.generation.fetch_add(1, Ordering::Release);
            *lock(&shared.slot.value) = Arc::new(1);
            let mut reader = reading.join().expect("the reader does not panic");
            assert_eq!(**reader.load(), 1, "a reader is stuck at an old value");
        });
    });
    assert!(caught.is_err(), "the model did not notice that the number was raised too early");
}
