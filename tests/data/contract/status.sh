curl https://api.freddy.aitronos.com/v1/model/response/resp_67ccd2bed1ec8190 \
  -H "Authorization: Bearer $FREDDY_API_KEY"
