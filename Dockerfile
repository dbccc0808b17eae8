# syntax=docker/dockerfile:1

FROM node:24-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY buf.yaml buf.gen.yaml tsconfig.json tsconfig.build.json ./
COPY proto proto
COPY src src
RUN npx buf generate && npx tsc -p tsconfig.build.json && npm prune --omit=dev

FROM node:24-bookworm-slim
# Collections of what is young are half as many, and a proxy's slowest answers are as fast as a bare relay's (docs/guide/running.md).
ENV NODE_OPTIONS=--max-semi-space-size=32
ENV NODE_ENV=production MIROIR_HTTP=0.0.0.0:7700 MIROIR_GRPC=0.0.0.0:7800 MIROIR_DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE README.md ./
COPY migrations migrations
COPY src/store/redis/scripts src/store/redis/scripts
COPY proto proto
COPY samples samples
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 7700 7800
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "dist/cli/main.js", "healthcheck"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["dev"]
