//! Frames as ringpop-node and ringpop-go sent them, and frames of our own on
//! the way out and in again.

use proptest::prelude::*;

use super::*;

/// Captured from ringpop-node 10.21.0.
const INIT_OF_NODE: &[&str] = &[
    "00a2010000000001 0000000000000000 0002 0005",
    "0009 686f73745f706f7274 000f 3132372e302e302e313a3231393931",
    "000c 70726f636573735f6e616d65 000b 6e6f64655b32343636395d",
    "0011 746368616e6e656c5f6c616e6775616765 0004 6e6f6465",
    "0019 746368616e6e656c5f6c616e67756167655f76657273696f6e 0007 32302e32302e32",
    "0010 746368616e6e656c5f76657273696f6e 0006 332e31302e31",
];

const JOIN_OF_NODE: &[&str] = &[
    "00b90300000000020000000000000000 00 000003e8",
    "378ace703228610a 0000000000000000 378ace703228610a 00",
    "07 72696e67706f70 03 02 6173 03 726177 02 636e 07 72696e67706f70 02 7265 01 63",
    "03 808feae5 000e 2f70726f746f636f6c2f6a6f696e 0004 6e756c6c 004e",
    "7b22617070223a2272696e67706f70222c22736f75726365223a223132372e302e302e313a3231393931222c",
    "22696e6361726e6174696f6e4e756d626572223a313739353333303338373736377d",
];

const JOIN_OF_GO: &[&str] = &[
    "00cc0300000000020000000000000000 00 000003e7",
    "00000000000000000000000000000000000000000000000000",
    "07 72696e67706f70 02 02 636e 07 72696e67706f70 02 6173 04 6a736f6e",
    "01 7b76d1c7 000e 2f70726f746f636f6c2f6a6f696e 0005 6e756c6c0a 0064",
    "7b22617070223a2272696e67706f70222c22736f75726365223a223132372e302e302e313a3231393931222c",
    "22696e6361726e6174696f6e4e756d626572223a313739353333303339323937362c",
    "2274696d656f7574223a313030303030303030307d0a",
];

fn bytes(lines: &[&str]) -> BytesMut {
    let digits: String = lines.concat().split_whitespace().collect();
    BytesMut::from(&hex::decode(digits).unwrap()[..])
}

fn only_frame(lines: &[&str]) -> Frame {
    let mut bytes = bytes(lines);
    let frame = Frame::decode(&mut bytes).unwrap().expect("the frame is complete");
    assert!(bytes.is_empty(), "nothing follows");
    frame
}

/// Reads a call that consists of one frame.
fn read_call(frame: &Frame) -> (CallRequest, Args, ChecksumKind) {
    let (request, fragment) = CallRequest::decode(frame).unwrap();
    let args = Assembler::new(1000).push(&fragment).unwrap().expect("the call is complete");
    (request, args, fragment.checksum.kind)
}

#[test]
fn the_introduction_of_ringpop_node() {
    let frame = only_frame(INIT_OF_NODE);
    assert_eq!((frame.kind, frame.id), (Kind::InitRequest, 1));
    let init = Init::decode(&frame).unwrap();
    let expected = Init {
        version: 2,
        host_port: "127.0.0.1:21991".to_owned(),
        process_name: "node[24669]".to_owned(),
    };
    assert_eq!(init, expected);
    let again = Init::decode(&init.encode(Kind::InitResponse, 1)).unwrap();
    assert_eq!(again, expected);
}

#[test]
fn a_join_of_ringpop_node() {
    let frame = only_frame(JOIN_OF_NODE);
    assert_eq!((frame.kind, frame.id), (Kind::CallRequest, 2));
    let (request, args, kind) = read_call(&frame);
    let headers = [("as", "raw"), ("cn", "ringpop"), ("re", "c")];
    let headers: Headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(request, CallRequest { ttl_ms: 1000, service: "ringpop".to_owned(), headers });
    assert_eq!(kind, ChecksumKind::Crc32c);
    assert_eq!((&args.arg1[..], &args.arg2[..]), (&b"/protocol/join"[..], &b"null"[..]));
    assert!(args.arg3.starts_with(b"{\"app\":\"ringpop\",\"source\":\"127.0.0.1:21991\""));

    // Written by us it is the same, but for the tracing ids.
    let mut written = request.encode(frame.id, &args, kind).remove(0).to_vec();
    let tracing = 21..46;
    assert!(written[tracing.clone()].iter().all(|byte| *byte == 0));
    let original = bytes(JOIN_OF_NODE);
    written[tracing.clone()].copy_from_slice(&original[tracing]);
    assert_eq!(written, original);
}

#[test]
fn a_join_of_ringpop_go() {
    let frame = only_frame(JOIN_OF_GO);
    let (request, args, kind) = read_call(&frame);
    assert_eq!(kind, ChecksumKind::Crc32);
    assert_eq!(args.arg2, &b"null\n"[..]);
    assert!(args.arg3.ends_with(b"\"timeout\":1000000000}\n"));
    assert_eq!(request.encode(frame.id, &args, kind), [bytes(JOIN_OF_GO).freeze()]);
}

/// One bit of the arguments is enough.
#[test]
fn a_wrong_checksum_is_noticed() {
    for lines in [JOIN_OF_NODE, JOIN_OF_GO] {
        let mut bytes = bytes(lines);
        *bytes.last_mut().unwrap() ^= 1;
        let frame = Frame::decode(&mut bytes).unwrap().unwrap();
        let (_, fragment) = CallRequest::decode(&frame).unwrap();
        let error = Assembler::new(1000).push(&fragment).unwrap_err();
        assert_eq!(error, Malformed("checksum is wrong"));
    }
}

#[test]
fn an_error_survives_the_way_out_and_in() {
    let codes = [
        ErrorCode::Timeout,
        ErrorCode::Busy,
        ErrorCode::BadRequest,
        ErrorCode::Fatal,
        ErrorCode::Unknown(77),
    ];
    for code in codes {
        let error = ErrorFrame { code, message: "too much to do".to_owned() };
        let frame = error.encode(7);
        assert_eq!((frame.kind, frame.id), (Kind::Error, 7));
        assert_eq!(ErrorFrame::decode(&frame).unwrap(), error);
    }
}

#[test]
fn a_frame_is_taken_when_it_is_complete() {
    let whole = bytes(JOIN_OF_GO);
    for cut in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..cut]);
        assert_eq!(Frame::decode(&mut part), Ok(None), "{cut} bytes");
        assert_eq!(part.len(), cut, "nothing is taken");
    }
    let mut two = whole.clone();
    two.extend_from_slice(&Frame::empty(Kind::PingRequest, 9).encode());
    assert_eq!(Frame::decode(&mut two).unwrap().unwrap().kind, Kind::CallRequest);
    let ping = Frame::decode(&mut two).unwrap().unwrap();
    assert_eq!(ping, Frame::empty(Kind::PingRequest, 9));
}

#[test]
fn a_size_below_that_of_the_header_ends_the_stream() {
    for size in 0..16_u8 {
        let mut bytes = BytesMut::from(&[0, size, 3, 0][..]);
        bytes.resize(100, 0);
        assert!(Frame::decode(&mut bytes).is_err(), "{size}");
    }
}

#[test]
fn every_type_has_its_number() {
    for code in 0..=u8::MAX {
        assert_eq!(Kind::from_code(code).code(), code);
    }
}

#[test]
fn a_body_that_is_cut_is_malformed() {
    let frame = only_frame(JOIN_OF_NODE);
    // Behind the last argument begins, a cut shortens the arguments instead.
    for cut in 0..frame.body.len() {
        let part = Frame { body: frame.body.slice(..cut), ..frame.clone() };
        let read = CallRequest::decode(&part)
            .and_then(|(_, fragment)| Assembler::new(1000).push(&fragment));
        assert!(read.is_err(), "cut at {cut}");
    }
}

/// Reads frames back as a peer does.
fn read_back(frames: Vec<Bytes>, bytes_max: usize) -> Result<Option<Args>, Malformed> {
    let mut stream: BytesMut = frames.iter().flat_map(|frame| frame.iter().copied()).collect();
    let mut assembler = Assembler::new(bytes_max);
    let mut args = None;
    while let Some(frame) = Frame::decode(&mut stream)? {
        let fragment = match frame.kind {
            Kind::CallRequest => CallRequest::decode(&frame)?.1,
            _ => Fragment::decode(&frame)?,
        };
        assert!(args.is_none(), "only the last frame ends the call");
        args = assembler.push(&fragment)?;
    }
    Ok(args)
}

fn request() -> CallRequest {
    let headers = vec![("as".to_owned(), "raw".to_owned())];
    CallRequest { ttl_ms: 1, service: "ringpop".to_owned(), headers }
}

fn args(sizes: [usize; 3]) -> Args {
    let [arg1, arg2, arg3] = sizes.map(|n| (0..n).map(|i| i as u8).collect::<Vec<u8>>().into());
    Args { arg1, arg2, arg3 }
}

const KINDS: [ChecksumKind; 3] = [ChecksumKind::None, ChecksumKind::Crc32, ChecksumKind::Crc32c];

/// Around the size at which an argument ends with its frame, where an empty
/// piece has to follow.
#[test]
fn arguments_of_any_size_survive_the_way_out_and_in() {
    for n in FRAME_BYTES_MAX - 80..=FRAME_BYTES_MAX {
        let kind = KINDS[n % KINDS.len()];
        for sizes in [[n, 0, 0], [3, n, 2], [3, 0, n], [3, n, n], [n, n, 2 * n]] {
            let args = args(sizes);
            let frames = request().encode(7, &args, kind);
            assert_eq!(read_back(frames, 1 << 20), Ok(Some(args)), "{sizes:?}");
        }
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let frames = request().encode(7, &args([10, 0, 100_000]), ChecksumKind::None);
    assert_eq!(read_back(frames.clone(), 100_010).unwrap().unwrap().arg3.len(), 100_000);
    assert_eq!(read_back(frames, 100_009), Err(Malformed("arguments are too long")));
}

/// The checksum covers the fragments before: a lost one is noticed.
#[test]
fn a_fragment_that_is_missing_is_noticed() {
    for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c] {
        let mut frames = request().encode(7, &args([10, 0, 200_000]), kind);
        assert!(frames.len() > 3);
        frames.remove(1);
        assert_eq!(read_back(frames, 1 << 20), Err(Malformed("checksum is wrong")));
    }
}

proptest! {
    #[test]
    fn arguments_survive(sizes in [0_usize..300, 0_usize..70_000, 0_usize..200_000], kind in 0..3_usize) {
        let args = args(sizes);
        let frames = request().encode(7, &args, KINDS[kind]);
        prop_assert_eq!(read_back(frames, 1 << 20), Ok(Some(args)));
    }

    #[test]
    fn no_bytes_break_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200), kind: u8) {
        let frame = Frame { kind: Kind::from_code(kind), id: 1, body: bytes.clone().into() };
        let _ = Init::decode(&frame);
        let _ = ErrorFrame::decode(&frame);
        if let Ok((_, fragment)) = CallRequest::decode(&frame) {
            let _ = Assembler::new(100).push(&fragment);
        }
        let _ = CallResponse::decode(&frame);
        let mut stream = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = Frame::decode(&mut stream) {}
    }
}
