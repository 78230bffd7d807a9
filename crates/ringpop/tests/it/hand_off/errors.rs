//! What a hook is told of state that does not arrive.

use ringpop::Address;

use super::*;

/// A hook that sends state to wrong receivers when its member leaves, then to a right one, and
/// keeps the errors.
#[derive(Debug, Default)]
struct Astray {
    errors: Mutex<Vec<HandOffError>>,
}

const NO_ADDRESS: &str = "some where";
const NO_MEMBER: &str = "127.0.0.1:1";

#[ringpop::tonic::async_trait]
impl HandOff for Astray {
    async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        for receiver in [NO_ADDRESS, NO_MEMBER] {
            let sent = planned.send(receiver, Bytes::from_static(b"state")).await;
            self.errors.lock().unwrap().extend(sent.err());
        }
        for key in (0..KEYS).map(key) {
            let Some(receiver) = planned.receiver(key.as_bytes()) else { continue };
            let sent = planned.send(receiver, Bytes::from_static(b"state")).await;
            self.errors.lock().unwrap().extend(sent.err());
            break;
        }
        Ok(())
    }

    async fn receive(&self, _: &PlannedMove, _: Bytes) -> Result<(), HandOffError> {
        Err(HandOffError::failed("it takes nothing"))
    }
}

#[tokio::test]
async fn an_error_of_a_hand_off_has_the_address_of_the_receiver() {
    let hooks = Hooks::new();
    let given = hooks.clone();
    let settings =
        move |i, builder: ringpop::Builder| builder.hand_off(given.set(i, Astray::default()));
    let mut cluster = Cluster::builder(2).settings(settings).start().await.unwrap();
    let other = Address::new(cluster.address(1)).unwrap();
    hooks.of(0).errors.lock().unwrap().clear();
    cluster.stop(0, LONG).await;
    let hook = hooks.of(0);
    let errors = hook.errors.lock().unwrap();
    let [HandOffError::Address { receiver, .. }, gone, refused] = &errors[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(receiver, NO_ADDRESS);
    let no_member = Address::new(NO_MEMBER).unwrap();
    assert!(
        matches!(gone, HandOffError::ReceiverGone { receiver } if *receiver == no_member),
        "{gone}"
    );
    assert!(
        matches!(
            refused,
            HandOffError::Refused { receiver, reason }
                if *receiver == other && reason.contains("it takes nothing")
        ),
        "{refused}"
    );
}
