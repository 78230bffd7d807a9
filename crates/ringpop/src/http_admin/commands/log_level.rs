//! The level of the log of the process.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Answer, Command, done};
use crate::generated as proto;
use crate::http_admin::answers::Json;
use crate::http_admin::asking::Client;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetLogLevel {
    directives: String,
}

#[derive(Serialize)]
pub(super) struct FormerLogLevel {
    directives_before: String,
}

pub(super) async fn set(
    State(mut client): State<Client>,
    Command { caller, body: SetLogLevel { directives } }: Command<SetLogLevel>,
) -> Answer<FormerLogLevel> {
    let request = proto::SetLogLevelRequest { directives };
    let directives_before =
        done(client.set_log_level(caller.asks(request))).await?.directives_before;
    Ok(Json(FormerLogLevel { directives_before }))
}
