//! Sans-IO SWIM membership state machine with the rules of Ringpop.
