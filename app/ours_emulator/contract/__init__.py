"""The contract: from the bytes of a request to messages and rejections, and from receipts to the answer."""
