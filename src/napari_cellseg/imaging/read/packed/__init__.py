"""What packed pieces and archives hold, before it takes memory."""
