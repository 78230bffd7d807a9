//! Any bytes, given to the reader of frames.

use std::collections::BTreeMap;

use bytes::BytesMut;
use ringpop_tchannel::frame::{
    Args, Assembler, CallRequest, CallResponse, ChecksumKind, ErrorFrame, Fragment, Frame, Headers,
    Init, Kind, Malformed,
};

/// Bytes of arguments that a call may have here: small enough that inputs meet the bound.
const BYTES_MAX: usize = 100_000;

/// Calls that are joined at once.
const CALLS_MAX: usize = 16;

/// The longest text that is written as it was read.
const TEXT_BYTES_MAX: usize = 255;

/// The contents of a stream.
#[derive(Debug, Default)]
pub struct Found {
    /// Frames of each type.
    pub frames: BTreeMap<u8, usize>,
    /// Calls and answers that were complete.
    pub complete: usize,
    /// Bodies that were refused.
    pub refused: usize,
}

/// Reads the bytes as a stream of frames.
///
/// # Panics
///
/// When that is not what it should be.
pub fn check(bytes: &[u8]) -> Found {
    let mut stream = BytesMut::from(bytes);
    let (mut found, mut calls) = (Found::default(), BTreeMap::new());
    loop {
        let before = stream.len();
        let Ok(Some(frame)) = Frame::decode(&mut stream) else { return found };
        assert!(stream.len() + 16 <= before, "every frame takes its header at least");
        *found.frames.entry(frame.kind.code()).or_default() += 1;
        let again = Frame::decode(&mut BytesMut::from(&frame.encode()[..]));
        assert_eq!(again, Ok(Some(frame.clone())));
        match take(&frame, &mut calls) {
            Ok(complete) => found.complete += usize::from(complete),
            Err(_) => found.refused += 1,
        }
    }
}

/// Takes one frame; tells whether it completed a call.
fn take(frame: &Frame, calls: &mut BTreeMap<u32, Assembler>) -> Result<bool, Malformed> {
    let fragment = match frame.kind {
        Kind::InitRequest | Kind::InitResponse => {
            let init = Init::decode(frame)?;
            if init.version == 2 && short(&[&init.host_port, &init.process_name]) {
                assert_eq!(Init::decode(&init.encode(frame.kind, frame.id)), Ok(init));
            }
            return Ok(false);
        }
        Kind::Error => {
            let error = ErrorFrame::decode(frame)?;
            if short(&[&error.message]) {
                assert_eq!(ErrorFrame::decode(&error.encode(frame.id)), Ok(error));
            }
            return Ok(false);
        }
        Kind::CallRequest => {
            let (request, fragment) = CallRequest::decode(frame)?;
            check_request(&request);
            calls.insert(frame.id, Assembler::new(BYTES_MAX));
            fragment
        }
        Kind::CallResponse => {
            let (response, fragment) = CallResponse::decode(frame)?;
            check_response(&response);
            calls.insert(frame.id, Assembler::new(BYTES_MAX));
            fragment
        }
        Kind::CallRequestContinue | Kind::CallResponseContinue => Fragment::decode(frame)?,
        Kind::Cancel | Kind::Claim | Kind::PingRequest | Kind::PingResponse | Kind::Unknown(_) => {
            return Ok(false);
        }
    };
    let Some(mut assembler) = calls.remove(&frame.id) else { return Ok(false) };
    let complete = assembler.push(&fragment)?;
    assert!(assembler.bytes() <= BYTES_MAX);
    match complete {
        Some(args) => check_args(&args, fragment.checksum.kind),
        None if calls.len() < CALLS_MAX => {
            calls.insert(frame.id, assembler);
            return Ok(false);
        }
        None => return Ok(false),
    }
    Ok(true)
}

/// The frames are written and read again.
fn check_request(request: &CallRequest) {
    if !short(&[&request.service]) || !short_headers(&request.headers) {
        return;
    }
    let written = request.encode(1, &Args::default(), ChecksumKind::None);
    assert_eq!(CallRequest::decode(&first(&written)).map(|(again, _)| again).as_ref(), Ok(request));
}

fn check_response(response: &CallResponse) {
    if short_headers(&response.headers) {
        let written = response.encode(1, &Args::default(), ChecksumKind::None);
        let again = CallResponse::decode(&first(&written)).map(|(again, _)| again);
        assert_eq!(again.as_ref(), Ok(response));
    }
}

fn check_args(args: &Args, kind: ChecksumKind) {
    let request = CallRequest { ttl_ms: 1, service: String::new(), headers: Vec::new() };
    let mut assembler = Assembler::new(BYTES_MAX);
    let mut complete = None;
    for bytes in request.encode(1, args, kind) {
        assert_eq!(complete, None, "only the last frame completes a call");
        let frame = Frame::decode(&mut BytesMut::from(&bytes[..]));
        let frame = frame.expect("what is written can be read").expect("and is whole");
        let fragment = match frame.kind {
            Kind::CallRequest => CallRequest::decode(&frame).map(|(_, fragment)| fragment),
            _ => Fragment::decode(&frame),
        };
        let fragment = fragment.expect("what is written can be read");
        complete = assembler.push(&fragment).expect("what is written can be joined");
    }
    assert_eq!(complete.as_ref(), Some(args));
}

fn first(frames: &[bytes::Bytes]) -> Frame {
    let frame = Frame::decode(&mut BytesMut::from(&frames[0][..]));
    frame.expect("what is written can be read").expect("and is whole")
}

fn short(texts: &[&str]) -> bool {
    texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX)
}

fn short_headers(headers: &Headers) -> bool {
    headers.iter().all(|(key, value)| short(&[key, value]))
}
