"""What happened on a stream, as one static page to send to a colleague."""
